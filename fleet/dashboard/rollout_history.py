"""What happened to a rollout: who did what and when, and what lost devices have in common."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from fleet.dashboard.parts import ago, panel, row, table
from fleet.dashboard.words import words_of
from fleet.views.rollouts import RolloutEntryView

BLAME = "blame"


def draw_history(history: tuple[RolloutEntryView, ...]) -> None:
    """Newest first."""
    if not history:
        ui.label("Nothing happened yet.").classes("ff-muted")
        return
    with table(["When", "Who", "What", "Details"]):
        for entry in reversed(history):
            row(partial(ago, entry.at), entry.actor, words_of(entry.act), entry.text)


def draw_blame(history: tuple[RolloutEntryView, ...]) -> None:
    """What sets lost devices apart from those that committed; nothing where nobody looked."""
    found = [entry for entry in history if entry.act == BLAME]
    if not found:
        return
    with panel("What the failed devices have in common", "ff-blame"):
        with ui.element("ul").classes("ff-list"):
            for entry in found:
                with ui.element("li"):
                    ui.label(entry.text)
        ui.label("Only what chance would explain in less than one report of twenty is told; it need not be the cause.").classes(
            "ff-tile-note"
        )
