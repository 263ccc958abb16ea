"""Touches the machine through psutil to take stock of its parts; only for processes that do not stay, since the library does not either."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import psutil

from agent.core.inventory import Interface, Inventory, Volume, Warmth

# A machine with more of a kind tells of the first ones.
MAX_PARTS = 16
LOOPBACK = "lo"
# Full and read-only by nature.
IMAGES = frozenset({"squashfs", "iso9660"})


def take_stock() -> Inventory:
    """Look at every part once; what cannot be looked at is left out."""
    return Inventory(
        booted_at=datetime.fromtimestamp(psutil.boot_time(), timezone.utc),
        volumes=tuple(_volumes())[:MAX_PARTS],
        warmths=tuple(_warmths())[:MAX_PARTS],
        draining_battery_percent=_draining_battery_percent(),
        interfaces=tuple(_interfaces())[:MAX_PARTS],
    )


def _volumes() -> Iterator[Volume]:
    seen = set[str]()
    for found in psutil.disk_partitions():
        # A disk that is mounted in two places is one; a single file, as containers have them, is none.
        if found.fstype in IMAGES or found.device in seen or not Path(found.mountpoint).is_dir():
            continue
        seen.add(found.device)
        with suppress(OSError):  # it was just unmounted, or is not for us
            usage = psutil.disk_usage(found.mountpoint)
            is_read_only = bool(os.statvfs(found.mountpoint).f_flag & os.ST_RDONLY)
            yield Volume(found.mountpoint, usage.free, usage.total, is_read_only)


def _warmths() -> Iterator[Warmth]:
    try:
        chips = psutil.sensors_temperatures()
    except (OSError, ValueError):
        return  # a sensor that says something else than a number
    for chip, sensors in sorted(chips.items()):
        for sensor in sensors:
            yield Warmth(sensor.label or chip, sensor.current, sensor.critical)


def _draining_battery_percent() -> float | None:
    try:
        battery = psutil.sensors_battery()
    except (OSError, ValueError):
        return None
    return None if battery is None or battery.power_plugged is not False else float(battery.percent)


def _interfaces() -> Iterator[Interface]:
    addresses = psutil.net_if_addrs()
    for name, state in sorted(psutil.net_if_stats().items()):
        if name != LOOPBACK:
            has_address = any(address.family in (socket.AF_INET, socket.AF_INET6) for address in addresses.get(name, ()))
            yield Interface(name, state.isup, has_address, state.speed)
