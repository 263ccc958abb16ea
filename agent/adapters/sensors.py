"""Touches the machine's sensors through psutil, sysfs and, on a Pi, vcgencmd; what is not there is None."""

from __future__ import annotations

import platform
import shutil
import time
from pathlib import Path

import anyio
import psutil

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
        psutil.cpu_percent()  # the first call only starts the interval that the next one reports on

    def machine(self) -> Machine:
        """Say what this device is made of."""
        return Machine(
            architecture=platform.machine(),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            cpu_count=psutil.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().total,
            disk_bytes=shutil.disk_usage(self._disk).total,
        )

    async def read(self) -> Readings:
        """Measure everything once."""
        memory = psutil.virtual_memory()
        disk = shutil.disk_usage(self._disk)
        bits = await self._throttled_bits()
        return Readings(
            uptime_s=max(0.0, time.time() - psutil.boot_time()),
            cpu_percent=psutil.cpu_percent(),
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
            temperature_c=_hottest_zone_c(),
            is_throttled=None if bits is None else bool(bits & THROTTLED_NOW),
        )

    async def condition(self) -> Condition:
        """Say whether the device is in a state to take more upon itself."""
        bits = await self._throttled_bits()
        battery = psutil.sensors_battery()
        return Condition(
            disk_free_bytes=shutil.disk_usage(self._disk).free,
            memory_free_bytes=psutil.virtual_memory().available,
            temperature_c=_hottest_zone_c(),
            is_undervolted=None if bits is None else bool(bits & UNDERVOLTED_NOW),
            battery_percent=None if battery is None or battery.power_plugged is not False else float(battery.percent),
        )

    async def heat(self) -> Heat:
        """Feel how warm the device is."""
        bits = await self._throttled_bits()
        return Heat(_hottest_zone_c(), None if bits is None else bool(bits & THROTTLED_NOW))

    def rss_bytes(self, pid: int) -> int:
        """Return a process's resident memory, 0 when it has ended."""
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return 0

    async def _throttled_bits(self) -> int | None:
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
