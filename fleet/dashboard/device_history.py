"""A device's history in one line of time: what it told of itself, the rollouts it was in, and what was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from nicegui import ui

from fleet.dashboard.command_words import asked
from fleet.dashboard.parts import ago, badge, row, table
from fleet.dashboard.words import release_name, words_of
from fleet.views.commands import CommandSummary
from fleet.views.device_details import EventView
from fleet.views.rollouts import DeviceRolloutView

MAX_MOMENTS = 100


@dataclass(frozen=True)
class Moment:
    """One thing that happened; `state` names its badge, `address` what it leads to."""

    at: datetime
    state: str
    text: str
    note: str = ""
    address: str = ""


def timeline(events: Sequence[EventView], rollouts: Sequence[DeviceRolloutView], commands: Sequence[CommandSummary]) -> tuple[Moment, ...]:
    """Return what happened, newest first."""
    found = [*map(_of_event, events), *map(_of_rollout, rollouts), *map(_of_command, commands)]
    return tuple(sorted(found, key=lambda moment: moment.at, reverse=True)[:MAX_MOMENTS])


def draw_timeline(moments: tuple[Moment, ...]) -> None:
    """One row for each."""
    if not moments:
        ui.label("Nothing happened yet.").classes("ff-muted")
        return
    with table(["When", "", "What"]):
        for moment in moments:
            row(partial(ago, moment.at), partial(badge, moment.state), partial(_draw_what, moment))


def _draw_what(moment: Moment) -> None:
    if moment.address:
        ui.link(moment.text, moment.address)
    else:
        ui.label(moment.text)
    if moment.note:
        ui.label(moment.note).classes("ff-tile-note")


def _of_event(event: EventView) -> Moment:
    facts = (f"{key} {value}" for key, value in event.facts.items())
    note = " · ".join(filter(None, (event.kind, event.model, *facts)))
    return Moment(event.at, event.severity, event.text, note)


def _of_rollout(part: DeviceRolloutView) -> Moment:
    kind = "" if part.kind == "start" else f", a {part.kind}"
    text = f"Rollout {part.rollout}{kind}: {release_name(part.release)} {words_of(part.phase.value)}"
    return Moment(part.outcome_at or part.offered_at or part.started_at, part.phase.value, text, part.reason, f"/rollouts/{part.rollout}")


def _of_command(command: CommandSummary) -> Moment:
    return Moment(command.answered_at or command.issued_at, command.state, f"{command.asker} asked for {asked(command)}", command.reason)
