"""Decides how what is asked of a device reads: what each command does there, how one was asked for, and what it brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.commands import Findings, Kind
from fleet.dashboard.words import words_of
from fleet.views.commands import CommandSummary


@dataclass(frozen=True)
class Errand:
    """One kind of command as a button: what the device would do."""

    text: str
    icon: str
    lines: tuple[str, ...]
    is_of_a_model: bool
    is_grave: bool = False


BESIDE = "The release that serves goes on meanwhile; it may answer more slowly."
ERRANDS: Mapping[Kind, Errand] = {
    "logs": Errand("Logs", "article", ("The device sends the agent's newest 200 log lines.",), is_of_a_model=False),
    "restart": Errand(
        "Restart worker",
        "restart_alt",
        ("A fresh worker takes the place of the one that serves, which goes on until the fresh one is ready.",),
        is_of_a_model=True,
        is_grave=True,
    ),
    "golden": Errand(
        "Golden set", "biotech", ("The golden set runs once more, in a process beside the one that serves.", BESIDE), is_of_a_model=True
    ),
    "benchmark": Errand(
        "Benchmark", "speed", ("100 inferences are timed, in a process beside the one that serves.", BESIDE), is_of_a_model=True
    ),
    "snapshot": Errand(
        "Snapshot",
        "photo_camera",
        (
            "The device sends one picture of what its model sees, if its own configuration allows it.",
            "It may show people: it is kept for a day.",
        ),
        is_of_a_model=True,
    ),
}


def asked(command: CommandSummary) -> str:
    """Write what was asked for."""
    given = command.order.model_dump(exclude={"kind"}, exclude_none=True).items()
    return " ".join((command.order.kind, *(f"{name} {value}" for name, value in given)))


def rows_of(findings: Findings) -> list[tuple[str, str]]:
    """Return what a command brought as names and values, without texts and pictures, which are shown as such."""
    found = findings.model_dump(mode="json", exclude={"kind", "text", "jpeg"}, exclude_none=True)
    return [(words_of(name), _value(value)) for name, value in found.items() if value not in ("", {})]


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['model']} {value['release']}" if "release" in value else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
