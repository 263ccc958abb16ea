"""Touches the machine's sensors, of which each family has its own file in `probes`; what is not there is None."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from agent.adapters import proc
from agent.adapters.probes import edge_tpu, jetson, raspberry, thermal
from agent.core.preflight import Condition
from agent.core.probation import Heat
from agent.core.readings import Readings
from contracts.messages import Machine


class Sensors:
    """Reads load, room and heat."""

    def __init__(self, disk: Path, root: Path = Path("/")) -> None:
        """Measure the disk that holds `disk`, and the machine whose files are under `root`, which is / but for tests."""
        self._disk = disk
        self._sys = root / "sys"
        self._firmware = raspberry.Firmware(self._sys)
        self._slowed = thermal.SlowMeter(self._sys)
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
        rails = jetson.rails_w(self._sys)
        return Readings(
            uptime_s=proc.uptime_s(),
            cpu_percent=self._load.percent(),
            memory_used_bytes=memory.total_bytes - memory.available_bytes,
            memory_total_bytes=memory.total_bytes,
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
            temperature_c=thermal.hottest_c(self._sys),
            is_throttled=self._is_throttled(bits),
            throttled_share=self._slowed.share(),
            is_undervolted=self._is_undervolted(bits),
            power_w=jetson.input_w(rails),
            rails_w=rails or None,
            edge_tpu_temperature_c=edge_tpu.hottest_c(self._sys),
        )

    async def condition(self) -> Condition:
        """Say whether the device is in a state to take more upon itself."""
        bits = await self.throttled_bits()
        return Condition(
            disk_free_bytes=shutil.disk_usage(self._disk).free,
            memory_free_bytes=proc.memory().available_bytes,
            temperature_c=thermal.hottest_c(self._sys),
            is_undervolted=self._is_undervolted(bits),
            battery_percent=proc.draining_battery_percent(),
        )

    async def heat(self) -> Heat:
        """Feel how warm the device is."""
        bits = await self.throttled_bits()
        return Heat(thermal.hottest_c(self._sys), self._is_throttled(bits))

    def rss_bytes(self, pid: int) -> int:
        """Return a process's resident memory, 0 when it has ended."""
        return proc.rss_bytes(pid)

    async def throttled_bits(self) -> int | None:
        """Return what a Pi's firmware says of under-voltage and throttling; None where there is none that does."""
        return await self._firmware.throttled_bits()

    def _is_throttled(self, bits: int | None) -> bool | None:
        return thermal.is_slowed(self._sys) if bits is None else bool(bits & raspberry.THROTTLED_NOW)

    def _is_undervolted(self, bits: int | None) -> bool | None:
        return raspberry.is_undervolted(self._sys) if bits is None else bool(bits & raspberry.UNDERVOLTED_NOW)
