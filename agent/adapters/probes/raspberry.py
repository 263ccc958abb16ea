"""Touches a Raspberry Pi's firmware: under-voltage and throttling, by the kernel's file, or else by the program that comes with the Pi."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import anyio

from agent.adapters.probes.files import entries, hwmon, number, text

VCGENCMD_S = 2.0
# Bits 0 to 3 of get_throttled: under-voltage, frequency capped, throttled, soft temperature limit, each "now".
THROTTLED_NOW = 0xF
UNDERVOLTED_NOW = 0x1
_BITS = re.compile(r"(0x)?(?P<bits>[0-9a-fA-F]{1,8})")


class Firmware:
    """Asks by the file of Raspberry Pi OS's kernel, which costs nothing, and only where there is none by starting `vcgencmd`."""

    def __init__(self, sys: Path) -> None:
        """Look below `sys`."""
        platform = sys / "devices" / "platform"
        files = (node / "get_throttled" for soc in entries(platform, "soc*") for node in entries(soc, "soc*:firmware"))
        self._file = next((file for file in files if file.exists()), None)
        self._vcgencmd = shutil.which("vcgencmd")

    async def throttled_bits(self) -> int | None:
        """Return the firmware's word on voltage and throttling; None where there is no firmware that has one."""
        if self._file is not None and (bits := _bits(text(self._file))) is not None:
            return bits
        if self._vcgencmd is None:
            return None
        try:
            with anyio.fail_after(VCGENCMD_S):
                done = await anyio.run_process([self._vcgencmd, "get_throttled"], check=False)
        except (OSError, TimeoutError):
            return None
        return _bits(done.stdout.decode(errors="replace").strip().partition("=")[2])  # a user who may not ask gets no answer


def is_undervolted(sys: Path) -> bool | None:
    """Say whether the kernel's own monitor, which every distribution's has, saw the supply sink within its last few seconds."""
    alarms = [alarm for chip in hwmon(sys, "rpi_volt") if (alarm := number(chip / "in0_lcrit_alarm")) is not None]
    return any(alarms) if alarms else None


def _bits(said: str) -> int | None:
    found = _BITS.fullmatch(said)
    return int(found["bits"], 16) if found else None
