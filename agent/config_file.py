"""Decides what stands in a new device's agent.toml: what the fleet said, and what was chosen here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from inspect import isclass
from typing import Any

from pydantic import ValidationError

from contracts import codec
from contracts.agent_config import AgentConfig, Section
from contracts.enrolment import Enrolled

CONFIG_FILE = "agent.toml"
# Stands in for what the fleet has not said yet, so that settings can be checked before a token is spent.
UNKNOWN: dict[str, dict[str, Any]] = {"device": {"id": "device", "hardware": "cpu"}, "broker": {"host": "127.0.0.1", "port": 1}}


def check_settings(settings: Mapping[str, str]) -> None:
    """Raise InvalidDocumentError for a setting such as `telemetry.health_interval_s` that no agent.toml has."""
    _config(UNKNOWN, settings)


def config_of(enrolled: Enrolled, server: str, settings: Mapping[str, str]) -> AgentConfig:
    """Return the configuration of a device that was enrolled at `server`; raise InvalidDocumentError."""
    device = {"id": enrolled.device, "hardware": enrolled.hardware, "labels": enrolled.labels}
    broker = {"host": enrolled.broker_host, "port": enrolled.broker_port}
    return _config({"device": device, "broker": broker, "delivery": {"server": server}}, settings)


def to_toml(config: AgentConfig) -> str:
    """Write all settings, defaults too, so that the file shows what can be changed."""
    sections = config.model_dump(mode="json")
    # What there may be several of, such as cameras, is written by hand: nothing says yet what they are called.
    return "\n".join(_table(name, values) for name, values in sections.items() if isinstance(values, dict))


def _config(facts: Mapping[str, Mapping[str, Any]], settings: Mapping[str, str]) -> AgentConfig:
    document = {name: dict(section) for name, section in facts.items()}
    for path, value in settings.items():
        section, _, key = path.partition(".")
        document.setdefault(section, {})[key] = _listed(value) if _is_list(section, key) else value
    try:
        return AgentConfig.model_validate(document)
    except ValidationError as error:
        raise codec.invalid_document("--set", error) from error


def _is_list(section: str, key: str) -> bool:
    found = AgentConfig.model_fields.get(section)
    table = found.annotation if found else None
    field = table.model_fields.get(key) if isclass(table) and issubclass(table, Section) else None
    return field is not None and isinstance(field.default, tuple)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    text = f"[{name}]\n" + "".join(f"{line}\n" for line in lines)
    nested = [(f"{name}.{key}", value) for key, value in values.items() if isinstance(value, dict) and value]
    return "\n".join((text, *(_table(path, inner) for path, inner in nested)))


def _value(value: str | float) -> str:
    # JSON's numbers, booleans and strings of printable characters are TOML's too.
    return json.dumps(value)
