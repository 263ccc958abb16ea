"""Touches the driver of Edge TPUs on PCIe or M.2; those on USB tell nobody how warm they are."""

from __future__ import annotations

from pathlib import Path

from agent.adapters.probes.files import celsius, entries


def hottest_c(sys: Path) -> float | None:
    """Return the temperature of the hottest Edge TPU."""
    readings = (celsius(chip / "temp") for chip in entries(sys / "class" / "apex", "apex_*"))
    return max((reading for reading in readings if reading is not None), default=None)
