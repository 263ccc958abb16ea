"""Decides what of a rollout's way is worth keeping for people: who did what, and what the fleet did by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleet.core.rollout.model import Rollout, State

# Who acts where no person does.
FLEET = "fleet"


@dataclass(frozen=True)
class Entry:
    """One line of a rollout's history."""

    at: datetime
    # The name of a token, or `fleet`.
    actor: str
    # Such as start, approve, pause, wave, stop, blame, end.
    act: str
    text: str


def own_entries(before: Rollout, after: Rollout, now: datetime) -> list[Entry]:
    """Return what the fleet did between two states of a rollout."""
    entries = _steps(before, after, now, FLEET, _said(before), _said(after))
    if after.state is not before.state:
        if after.state is State.PAUSED:
            entries.append(Entry(now, FLEET, "pause", after.state_reason))
        elif after.state is State.FAILED and before.state in (State.RUNNING, State.PAUSED) and after.ended_at is None:
            entries.append(Entry(now, FLEET, "stop", after.state_reason))
    if after.ended_at is not None and before.ended_at is None:
        entries.append(Entry(now, FLEET, "end", ": ".join(filter(None, (after.state.value, after.state_reason)))))
    return entries


def ordered_entries(before: Rollout, after: Rollout, order: Entry) -> list[Entry]:
    """Return what a person's order did between two states of a rollout: the order, and the steps that it took past the gate."""
    gate = f"; the gate said: {_said(before)}" if _said(before) else "; the gate had said nothing"
    why = f"by {order.actor}{gate if before.plan.gate else ''}"
    return [order, *_steps(before, after, order.at, order.actor, why, why)]


def _steps(before: Rollout, after: Rollout, now: datetime, actor: str, why_opened: str, why_proven: str) -> list[Entry]:
    """Return a line for each wave that was opened, and for one that goes on in earnest after its shadow."""
    opened, proven = (f": {why}" if why else "" for why in (why_opened, why_proven))
    waves = range(before.wave + 1, after.wave + 1)
    entries = [Entry(now, actor, "wave", f"opened wave {wave + 1} of {after.last_wave + 1}{opened}") for wave in waves]
    if after.proven > before.proven:
        entries.append(Entry(now, actor, "prove", f"wave {after.wave + 1} serves after its shadow{proven}"))
    return entries


def _said(rollout: Rollout) -> str:
    return rollout.verdict.reason if rollout.verdict else ""
