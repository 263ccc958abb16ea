"""Touches the power monitors of a Jetson: how many watts each of its rails carries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.adapters.probes.files import entries, hwmon, number, text
from contracts.messages import MAX_RAILS, RAIL_NAME

# Rails that carry all that a module takes; on modules without one, nobody knows which of the others contain each other.
INPUTS = ("VDD_IN", "VIN")
# No module takes more; a monitor that says so is broken, or speaks of something else.
MAX_RAIL_W = 1000.0
_RAIL = re.compile(RAIL_NAME)
# What the channels are called that lead nowhere.
_UNCONNECTED = "NC"


def rails_w(sys: Path) -> dict[str, float]:
    """Return the watts of each labelled rail; empty where there are none."""
    found = dict(rail for chip in hwmon(sys, "ina3221", "ina238") for rail in _rails(chip))
    return dict(sorted(found.items())[:MAX_RAILS])


def input_w(rails: Mapping[str, float]) -> float | None:
    """Return what the whole module takes."""
    return next((rails[name] for name in INPUTS if name in rails), None)


def _rails(chip: Path) -> Iterator[tuple[str, float]]:
    for label in entries(chip, "in[1-3]_label"):
        name, channel = text(label), label.name[2]
        watts = _watts(chip, channel)
        if watts is not None and 0 <= watts <= MAX_RAIL_W and _RAIL.fullmatch(name) and name != _UNCONNECTED:
            yield name, watts


def _watts(chip: Path, channel: str) -> float | None:
    """Return a channel's power as the chip says it, in microwatts, or else from its millivolts and milliamperes."""
    said = number(chip / f"power{channel}_input")
    if said is not None:
        return said / 1e6
    millivolts, milliamperes = number(chip / f"in{channel}_input"), number(chip / f"curr{channel}_input")
    return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6
