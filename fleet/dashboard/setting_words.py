"""Decides how a device's settings read to people: their names with units, what a change does, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.codec import invalid_document
from contracts.configuration import parse_setting
from contracts.lifecycle import FINAL, Phase
from contracts.settings import SettingValue
from fleet.requests.settings import ConfigurationChange
from fleet.views.settings import ConfigurationView, ConfiguredDevice

TITLES = {
    "broker": "Broker",
    "telemetry": "Telemetry",
    "update": "Updates",
    "worker": "Workers",
    "storage": "Storage",
    "delivery": "Delivery",
}
# Each setting's name, and what it may look like.
NAMES: Mapping[str, tuple[str, str]] = {
    "broker.host": ("Host", "fleet.example.org"),
    "broker.port": ("Port", "8883"),
    "broker.keepalive_s": ("Sign of life, s", "15"),
    "telemetry.health_interval_s": ("Health every, s", "10"),
    "telemetry.window_s": ("Window of inferences, s", "10"),
    "telemetry.outbox_max_bytes": ("Outbox on disk, bytes", "16777216"),
    "telemetry.outbox_max_age_s": ("Outbox keeps for, s", "7776000"),
    "update.probation_s": ("Probation, s", "30"),
    "update.max_error_share": ("Failing requests, share", "0.5"),
    "update.max_error_rise": ("Rise of failing requests", "0.05"),
    "update.max_latency_ratio": ("p95 latency, times", "2"),
    "update.max_growth_mib_per_h": ("Memory growth, MiB per hour", "256"),
    "update.max_temperature_rise_c": ("Temperature rise, °C", "20"),
    "worker.inference_s": ("One inference, s", "10"),
    "worker.memory_mib": ("Memory of a worker, MiB", "512; 0 is half of the device's"),
    "storage.earlier_releases": ("Earlier releases kept", "1"),
    "storage.max_bytes": ("All releases, bytes", "4000000000; 0 is no limit"),
    "delivery.sources": ("Sources, in order", "mqtt,https,folder"),
    "delivery.server": ("Fleet's server", "https://fleet.example.org:8481"),
    "delivery.urls": ("Servers of files", "https://cdn.example.org/artifacts"),
    "delivery.release_hosts": ("Hosts that releases may name", "*.example.org"),
    "delivery.folder": ("Folder of bundles", "/media/usb"),
    "delivery.max_bytes_per_s": ("Rate, bytes a second", "500000; 0 is no limit"),
    "delivery.hours": ("Hours", "22:00-06:00"),
}


@dataclass(frozen=True)
class Outcome:
    """What a device made of its settings: a state that `words` knows, and a sentence."""

    state: str
    text: str


def written(value: SettingValue | None) -> str:
    """Write a value as it is typed; empty where agent.toml decides."""
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def change_of(device: str, before: Mapping[str, SettingValue], said: Mapping[str, str], *, dry_run: bool) -> ConfigurationChange:
    """Return what a form asks for beyond what it was opened with; emptied fields go to agent.toml. Raise InvalidDocumentError."""
    touched = {path: text.strip() for path, text in said.items() if text.strip() != written(before.get(path))}
    values = {path: parse_setting(path, text) for path, text in touched.items() if text}
    try:
        return ConfigurationChange(
            query=f'id = "{device}"', set=values, unset=tuple(path for path, text in touched.items() if not text), dry_run=dry_run
        )
    except ValidationError as error:
        raise invalid_document("configuration", error) from error


def differences(found: ConfiguredDevice) -> list[tuple[str, str, str]]:
    """Return each setting that changes: its path, what it was, and what it becomes."""
    paths = sorted({*found.before, *found.after})
    return [
        (path, written(found.before.get(path)) or "agent.toml", written(found.after.get(path)) or "agent.toml")
        for path in paths
        if found.before.get(path) != found.after.get(path)
    ]


def outcome(view: ConfigurationView) -> Outcome:
    """Say what a device made of the settings that it was wished last."""
    said = view.reported
    if said is None:
        return Outcome("pending", "The device has not told of it: it was not heard since, or its agent takes no settings.")
    last = said.last
    if last is not None and last.release.manifest_sha256 == view.sha256 and last.result in {Phase.REJECTED, Phase.ROLLED_BACK}:
        kept = f"revision {said.current.release}" if said.current else "its own agent.toml"
        return Outcome("refused" if last.result is Phase.REJECTED else last.result.value, f"{last.reason}; in force is {kept}.")
    if said.current is not None and said.current.manifest_sha256 == view.sha256 and said.phase in FINAL:
        return Outcome("in-force", "The device proved it on probation, and keeps it.")
    if said.phase in FINAL:
        return Outcome("pending", "Told to the device; it has not begun yet.")
    return Outcome(said.phase.value, said.reason)
