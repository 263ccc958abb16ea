"""Writes the folder that makes a machine a device of the fleet: agent.toml, the root of trust, the broker password."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts import codec
from contracts.agent_config import AgentConfig
from contracts.errors import InvalidDocumentError
from fleet.errors import FolderNotEmptyError
from fleet.files import write_secret, write_whole
from fleet.requests import NewDevice, Provisioning

CONFIG_FILE = "agent.toml"


def parse_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Read KEY=VALUE options; raise InvalidDocumentError."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not (key and separator and value) or key in pairs:
            raise InvalidDocumentError(option, text, "KEY=VALUE, each key once", repr(text))
        pairs[key] = value
    return pairs


def plan_config(device: NewDevice, settings: Mapping[str, str]) -> AgentConfig:
    """Return a device's configuration with settings such as `telemetry.health_interval_s`; raise InvalidDocumentError.

    The broker's address is not known before the server has added the device: a placeholder stands for it.
    """
    document: dict[str, dict[str, Any]] = {
        "device": {"id": device.id, "hardware": device.hardware, "labels": device.labels},
        "broker": {"host": "127.0.0.1", "port": 1},
    }
    for path, value in settings.items():
        section, _, key = path.partition(".")
        document.setdefault(section, {})[key] = value
    try:
        return AgentConfig.model_validate(document)
    except ValidationError as error:
        raise codec.invalid_document("--set", error) from error


def check_empty(folder: Path) -> None:
    """Raise FolderNotEmptyError unless `folder` is missing or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderNotEmptyError(str(folder))


def write_folder(folder: Path, planned: AgentConfig, provisioning: Provisioning) -> None:
    """Write everything, readable by the owner alone."""
    address = {"host": provisioning.broker.host, "port": provisioning.broker.port}
    config = planned.model_copy(update={"broker": planned.broker.model_copy(update=address)})
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(folder / config.broker.password_file, provisioning.broker.password.encode())
    write_whole(folder / config.trust.root_file, provisioning.root.encode())
    write_whole(folder / CONFIG_FILE, to_toml(config).encode())


def to_toml(config: AgentConfig) -> str:
    """Write all settings, defaults too, so that the file shows what can be changed."""
    sections = config.model_dump(mode="json")
    return "\n".join(_table(name, values) for name, values in sections.items())


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    text = f"[{name}]\n" + "".join(f"{line}\n" for line in lines)
    nested = [(f"{name}.{key}", value) for key, value in values.items() if isinstance(value, dict) and value]
    return "\n".join((text, *(_table(path, inner) for path, inner in nested)))


def _value(value: str | float) -> str:
    # JSON's numbers, booleans and strings of printable characters are TOML's too.
    return json.dumps(value)
