"""Decides whether a device can take a release now, before the first byte: disk, memory, power and heat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.room import disk_shortfall, memory_shortfall

# Processors of these boards throttle from 80 to 85 °C on; building an engine would only add to it.
MAX_TEMPERATURE_C = 85.0
MIN_BATTERY_PERCENT = 20.0


@dataclass(frozen=True)
class Condition:
    """How a device is; None where it cannot tell."""

    disk_free_bytes: int
    memory_free_bytes: int
    temperature_c: float | None = None
    is_undervolted: bool | None = None
    # Only while it runs from the battery.
    battery_percent: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Why not now; the text begins with the name."""

    name: Literal["disk", "memory", "power", "heat"]
    text: str


def refusal(download_bytes: int, files_bytes: int, found: Condition) -> Refusal | None:
    """Return why a release cannot be taken now, or None when it can.

    `download_bytes` are still to come.
    `files_bytes` are all that the release's worker reads.
    """
    reason = disk_shortfall(download_bytes, found.disk_free_bytes)
    if reason is not None:
        return Refusal("disk", reason)
    reason = memory_shortfall(files_bytes, found.memory_free_bytes)
    if reason is not None:
        return Refusal("memory", reason)
    if found.is_undervolted:
        return Refusal("power", "power: expected a supply within its limits, found under-voltage")
    if found.battery_percent is not None and found.battery_percent < MIN_BATTERY_PERCENT:
        return Refusal("power", f"power: expected a battery of {MIN_BATTERY_PERCENT:g} % or a supply, found {found.battery_percent:.0f} %")
    if found.temperature_c is not None and found.temperature_c > MAX_TEMPERATURE_C:
        return Refusal("heat", f"heat: expected at most {MAX_TEMPERATURE_C:g} °C, found {found.temperature_c:.0f} °C")
    return None
