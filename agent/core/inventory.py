"""Decides what is healthy about the machine itself: its volumes, its sensors, its battery, its network, its start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from agent.core.finding import Finding

FULL_SHARE = 0.95
LOW_BATTERY_PERCENT = 20.0
# Below what its maker calls critical, a part has this much left.
MARGIN_C = 5.0


@dataclass(frozen=True)
class Volume:
    """One mounted file system on a disk or a card."""

    path: str
    free_bytes: int
    total_bytes: int
    is_read_only: bool


@dataclass(frozen=True)
class Warmth:
    """One sensor, and what its maker calls critical, where that is known."""

    sensor: str
    celsius: float
    critical_c: float | None


@dataclass(frozen=True)
class Interface:
    """One network interface that leads out of the machine; the speed is 0 where none is told, as for Wi-Fi."""

    name: str
    is_up: bool
    has_address: bool
    megabits_per_s: int


@dataclass(frozen=True)
class Inventory:
    """What was found; empty, or None, where a machine has no such part."""

    booted_at: datetime
    volumes: tuple[Volume, ...]
    warmths: tuple[Warmth, ...]
    # How full the battery is, while the machine runs from it.
    draining_battery_percent: float | None
    interfaces: tuple[Interface, ...]


def inventory_findings(inventory: Inventory, now: datetime) -> Iterator[Finding]:
    """Yield the result of every check."""
    yield _start(inventory, now)
    yield _volumes(inventory)
    yield _sensors(inventory)
    yield _battery(inventory)
    yield _network(inventory)


def _start(inventory: Inventory, now: datetime) -> Finding:
    if inventory.booted_at > now:
        return Finding(check="start", verdict="warn", text="the clock was set back since", advice="see the check of the clock")
    hours = (now - inventory.booted_at).total_seconds() / 3600
    return Finding(check="start", verdict="ok", text=f"up for {hours / 24:.0f} days" if hours >= 48 else f"up for {hours:.0f} h")


def _volumes(inventory: Inventory) -> Finding:
    closed = [volume.path for volume in inventory.volumes if volume.is_read_only]
    full = [volume.path for volume in inventory.volumes if volume.free_bytes < (1 - FULL_SHARE) * volume.total_bytes]
    if closed:
        advice = "the kernel does that to a disk that fails, too: read `dmesg`, and replace the card or disk if that is why"
        return Finding(check="volumes", verdict="warn", text=f"read-only: {', '.join(closed)}", advice=advice)
    if full:
        return Finding(check="volumes", verdict="warn", text=f"nearly full: {', '.join(full)}", advice="make room: logs and caches first")
    text = ", ".join(f"{volume.path} {volume.free_bytes / 1e9:.1f} GB free" for volume in inventory.volumes)
    return Finding(check="volumes", verdict="ok", text=text or "none of its own")


def _sensors(inventory: Inventory) -> Finding:
    near = [warmth for warmth in inventory.warmths if warmth.critical_c and warmth.celsius > warmth.critical_c - MARGIN_C]
    if near:
        text = ", ".join(f"{warmth.sensor} {warmth.celsius:.0f} °C of {warmth.critical_c:.0f} °C" for warmth in near)
        return Finding(check="sensors", verdict="warn", text=text, advice="a heat sink or a fan, and air around it")
    text = ", ".join(f"{warmth.sensor} {warmth.celsius:.0f} °C" for warmth in inventory.warmths)
    return Finding(check="sensors", verdict="ok", text=text or "none")


def _battery(inventory: Inventory) -> Finding:
    percent = inventory.draining_battery_percent
    if percent is None:
        return Finding(check="battery", verdict="ok", text="none, or plugged in")
    if percent < LOW_BATTERY_PERCENT:
        return Finding(check="battery", verdict="warn", text=f"{percent:.0f} %, and draining", advice="plug it in: no release is fetched")
    return Finding(check="battery", verdict="ok", text=f"{percent:.0f} %, and draining")


def _network(inventory: Inventory) -> Finding:
    if not any(interface.is_up and interface.has_address for interface in inventory.interfaces):
        advice = "plug a cable in, or join a network: `nmcli device`, or `ip address`"
        return Finding(check="network", verdict="fail", text="no interface has an address", advice=advice)
    used = (interface for interface in inventory.interfaces if interface.is_up and interface.has_address)
    text = ", ".join(interface.name + (f" {interface.megabits_per_s} Mbit/s" if interface.megabits_per_s else "") for interface in used)
    return Finding(check="network", verdict="ok", text=text)
