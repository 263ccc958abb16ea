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

MAX_PASSWORD_BYTES = 1024


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
    def password_file(self) -> Path:
        """The broker password."""
        return self.file.parent / self.config.broker.password_file

    def password(self) -> str:
        """Read the broker password; raise ConfigError."""
        try:
            text = self.password_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(str(self.file), "broker.password_file", f"a text file at {self.password_file}", repr(error)) from error
        if not text.strip() or len(text) > MAX_PASSWORD_BYTES:
            raise ConfigError(str(self.file), "broker.password_file", "a password", f"{len(text)} characters")
        return text.strip()


def load_settings(file: Path, state_dir: Path | None = None) -> Settings:
    """Read and check agent.toml and that the files it names exist; raise ConfigError or InvalidDocumentError.

    A given `state_dir` stands in for the file's own.
    """
    file = file.resolve()
    try:
        with file.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(str(file), "file", "a readable agent.toml", error.strerror or repr(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "syntax", "TOML", str(error)) from error
    try:
        config = AgentConfig.model_validate(document)
    except ValidationError as error:
        raise invalid_document(str(file), error) from error
    settings = Settings(config, file, state_dir or file.parent / config.device.state_dir)
    if not settings.root_file.is_file():
        raise ConfigError(str(file), "trust.root_file", f"a file at {settings.root_file}", "none")
    settings.password()
    return settings
