"""Touches the machine's sensors through /proc, /sys and, on a Pi, vcgencmd; what is not there is None."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import anyio

from agent.adapters import proc
from agent.core.preflight import Condition
from agent.core.probation import Heat
from agent.core.readings import Readings
from contracts.messages import Machine

THERMAL = Path("/sys/class/thermal")
VCGENCMD_S = 2.0
# Bits 0 to 3 of get_throttled: under-voltage, frequency capped, throttled, soft temperature limit, each "now".
THROTTLED_NOW = 0xF
UNDERVOLTED_NOW = 0x1


class Sensors:
    """Reads load, room and heat."""

    def __init__(self, disk: Path) -> None:
        """Measure the disk that holds `disk`."""
        self._disk = disk
        self._vcgencmd = shutil.which("vcgencmd")
        self._load = proc.LoadMeter()

    def machine(self) -> Machine:
        """Say what this device is made of."""
        return Machine(
            architecture=platform.machine(),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            cpu_count=os.cpu_count() or 1,
            memory_bytes=proc.memory().total_bytes,
            disk_bytes=shutil.disk_usage(self._disk).total,
        )

    async def read(self) -> Readings:
        """Measure everything once."""
        memory = proc.memory()
        disk = shutil.disk_usage(self._disk)
        bits = await self.throttled_bits()
        return Readings(
            uptime_s=proc.uptime_s(),
            cpu_percent=self._load.percent(),
            memory_used_bytes=memory.total_bytes - memory.available_bytes,
            memory_total_bytes=memory.total_bytes,
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
            temperature_c=_hottest_zone_c(),
            is_throttled=None if bits is None else bool(bits & THROTTLED_NOW),
        )

    async def condition(self) -> Condition:
        """Say whether the device is in a state to take more upon itself."""
        bits = await self.throttled_bits()
        return Condition(
            disk_free_bytes=shutil.disk_usage(self._disk).free,
            memory_free_bytes=proc.memory().available_bytes,
            temperature_c=_hottest_zone_c(),
            is_undervolted=None if bits is None else bool(bits & UNDERVOLTED_NOW),
            battery_percent=proc.draining_battery_percent(),
        )

    async def heat(self) -> Heat:
        """Feel how warm the device is."""
        bits = await self.throttled_bits()
        return Heat(_hottest_zone_c(), None if bits is None else bool(bits & THROTTLED_NOW))

    def rss_bytes(self, pid: int) -> int:
        """Return a process's resident memory, 0 when it has ended."""
        return proc.rss_bytes(pid)

    async def throttled_bits(self) -> int | None:
        """Return what a Pi's firmware says of under-voltage and throttling; None where there is none that does."""
        if self._vcgencmd is None:
            return None
        try:
            with anyio.fail_after(VCGENCMD_S):
                done = await anyio.run_process([self._vcgencmd, "get_throttled"], check=False)
            return int(done.stdout.decode().strip().partition("=")[2], 16)
        except (OSError, TimeoutError, ValueError):
            return None  # the firmware does not answer, or not a user like us


def _hottest_zone_c() -> float | None:
    found = [reading for zone in THERMAL.glob("thermal_zone*/temp") if (reading := _zone_c(zone)) is not None]
    return max(found, default=None)


def _zone_c(zone: Path) -> float | None:
    try:
        return int(zone.read_text()) / 1000
    except (OSError, ValueError):
        return None  # zones of parts that are switched off refuse to be read
