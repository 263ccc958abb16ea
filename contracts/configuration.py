"""Which of a device's settings its fleet may change, and what an agent.toml becomes by such a change.

A configuration goes the way of a release: its revision is compared like a release counter, its digest names it. What it does not set is as
agent.toml says, and agent.toml itself is never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from contracts import codec
from contracts.agent_config import AgentConfig
from contracts.errors import InvalidDocumentError
from contracts.names import ReleaseCounter, Sha256
from contracts.settings import Settings, SettingValue

# Where the device is reached, whom it believes and who it is are not among them, save the broker's address: probation proves that one.
SETTABLE: Mapping[str, tuple[str, ...]] = {
    "broker": ("host", "port", "keepalive_s"),
    "telemetry": ("health_interval_s", "window_s", "outbox_max_bytes", "outbox_max_age_s"),
    "update": (
        *("probation_s", "max_error_share", "max_error_rise", "max_latency_ratio"),
        *("max_growth_mib_per_h", "max_temperature_rise_c"),
    ),
    "worker": ("inference_s", "memory_mib"),
    "storage": ("earlier_releases", "max_bytes"),
    "delivery": ("sources", "server", "urls", "release_hosts", "folder", "max_bytes_per_s", "hours"),
}
PATHS = frozenset(f"{section}.{key}" for section, keys in SETTABLE.items() for key in keys)
# Nothing set: what agent.toml alone says. Changes by the fleet count on from it.
BASE_REVISION = 1
# What a check knows of an agent.toml that is elsewhere.
_ELSEWHERE = AgentConfig.model_validate({"device": {"id": "device", "hardware": "cpu"}, "broker": {"host": "127.0.0.1", "port": 1}})


class Configuration(BaseModel, frozen=True, extra="ignore"):
    """All that a fleet sets on one device, by path, such as `telemetry.health_interval_s`."""

    revision: ReleaseCounter
    settings: Settings

    @property
    def sha256(self) -> Sha256:
        """Return what names it."""
        return codec.sha256_of(codec.encode(self))


BASE = Configuration(revision=BASE_REVISION, settings={})


def check_settings(settings: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """Return settings in the one form of their values; raise InvalidDocumentError for one that no device takes."""
    config = configured(_ELSEWHERE, settings)
    return {path: _value(config, path) for path in sorted(settings)}


def configured(base: AgentConfig, settings: Mapping[str, SettingValue]) -> AgentConfig:
    """Return what an agent.toml becomes by `settings`; raise InvalidDocumentError naming the one that is wrong."""
    document: dict[str, Any] = base.model_dump(mode="json")
    for path, value in settings.items():
        if path not in PATHS:
            raise InvalidDocumentError("configuration", path, f"one of {', '.join(sorted(PATHS))}", repr(value))
        section, key = path.split(".")
        document[section][key] = value
    try:
        return AgentConfig.model_validate(document)
    except ValidationError as error:
        raise codec.invalid_document("configuration", error) from error


def parse_setting(path: str, text: str) -> SettingValue:
    """Read what was typed as a setting's value, lists as A,B; raise InvalidDocumentError."""
    is_list = path in PATHS and isinstance(_value(_ELSEWHERE, path), tuple)
    words = tuple(part.strip() for part in text.split(",") if part.strip())
    return check_settings({path: words if is_list else text})[path]


def _value(config: AgentConfig, path: str) -> SettingValue:
    section, key = path.split(".")
    value: SettingValue = getattr(getattr(config, section), key)
    return value
