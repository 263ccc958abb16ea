"""Touches /proc and /sys: the kernel's own word on load, memory, uptime and the battery, without a library that stays in memory for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC, POWER_SUPPLY = Path("/proc"), Path("/sys/class/power_supply")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Of a line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in them already (proc(5)).
JIFFIES, IDLE = slice(1, 9), (3, 4)


@dataclass(frozen=True)
class Memory:
    """Bytes; what is available is free, or can be made free without swapping."""

    total_bytes: int
    available_bytes: int


class LoadMeter:
    """Says how busy all cores were since it was asked before."""

    def __init__(self, proc: Path = PROC) -> None:
        """Begin the first interval."""
        self._stat = proc / "stat"
        self._busy, self._total = self._jiffies()

    def percent(self) -> float:
        """Return the share of time that cores were busy, from 0 to 100; 0 when no time has passed."""
        busy, total = self._jiffies()
        share = (busy - self._busy) / (total - self._total) if total > self._total else 0.0
        self._busy, self._total = busy, total
        return 100 * min(max(share, 0.0), 1.0)

    def _jiffies(self) -> tuple[int, int]:
        with self._stat.open() as lines:
            counts = [int(word) for word in lines.readline().split()[JIFFIES]]
        total = sum(counts)
        return total - sum(counts[index] for index in IDLE), total


def memory(proc: Path = PROC) -> Memory:
    """Return the machine's memory."""
    words = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
    total, available = (int(words[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return Memory(total, available)


def uptime_s(proc: Path = PROC) -> float:
    """Return how long the machine has been up, sleep included; no jump of its clock changes that."""
    return float((proc / "uptime").read_text().split()[0])


def rss_bytes(pid: int, proc: Path = PROC) -> int:
    """Return a process's resident memory, 0 when it has ended."""
    try:
        return int((proc / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def draining_battery_percent(supplies: Path = POWER_SUPPLY) -> float | None:
    """Return how full the emptiest battery is that the device runs from; None for a device that has none, or is plugged in."""
    found = [_capacity(supply) for supply in supplies.glob("*") if _word(supply / "type") == "Battery" and _is_draining(supply)]
    return min((percent for percent in found if percent is not None), default=None)


def _is_draining(supply: Path) -> bool:
    # A mouse's battery is no battery of the device (sysfs-class-power, scope).
    return _word(supply / "status") == "Discharging" and _word(supply / "scope") != "Device"


def _capacity(supply: Path) -> float | None:
    percent = _word(supply / "capacity")
    return float(percent) if percent.isdigit() else None


def _word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""  # this kind of supply does not say
