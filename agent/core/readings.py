"""The values that a device's sensors give at one moment, in the words of the health message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Readings:
    """One measurement; None where the device has no such sensor."""

    uptime_s: float
    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    temperature_c: float | None
    is_throttled: bool | None
    # Of the time since the reading before.
    throttled_share: float | None
    is_undervolted: bool | None
    power_w: float | None
    rails_w: Mapping[str, float] | None
    edge_tpu_temperature_c: float | None
