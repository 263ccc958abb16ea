"""Reads agent.toml and resolves the paths it names."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.errors import ConfigError
from contracts.agent_config import AgentConfig
from contracts.codec import invalid_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Settings:
    """The configuration, and where its files are."""

    config: AgentConfig
    file: Path
    # Where the agent keeps all it must not forget.
    state_dir: Path

    @property
    def root_file(self) -> Path:
        """The root of trust the device was provisioned with."""
        return self.file.parent / self.config.trust.root_file

    @property
    def ca_file(self) -> Path:
        """The fleet authority's certificate."""
        return self.file.parent / self.config.broker.ca_file

    @property
    def identity_file(self) -> Path:
        """The key and certificate the device was enrolled with."""
        return self.file.parent / self.config.broker.identity_file

    def check_files(self) -> None:
        """Raise ConfigError for a file that is named and not there."""
        named = {"trust.root_file": self.root_file, "broker.ca_file": self.ca_file, "broker.identity_file": self.identity_file}
        for field, path in named.items():
            if not path.is_file():
                raise ConfigError(str(self.file), field, f"a file at {path}", "none")


def file_in(place: Path) -> Path:
    """Return the configuration's file where `place` is the folder that it is in."""
    return place / "agent.toml" if place.is_dir() else place


def load_settings(file: Path, state_dir: Path | None = None) -> Settings:
    """Read and check agent.toml, or the one in a folder, and that the files it names exist; raise ConfigError or InvalidDocumentError.

    A given `state_dir` stands in for the file's own.
    """
    file = file_in(file).resolve()
    try:
        with file.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        expected = "a readable agent.toml (name the device's own, or its folder, with --config)"
        raise ConfigError(str(file), "file", expected, error.strerror or repr(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "syntax", "TOML", str(error)) from error
    try:
        config = AgentConfig.model_validate(document)
    except ValidationError as error:
        raise invalid_document(str(file), error) from error
    settings = Settings(config, file, state_dir or file.parent / config.device.state_dir)
    settings.check_files()
    return settings
