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
    entries = [
        Entry(now, FLEET, "wave", f"opened wave {wave + 1} of {after.last_wave + 1}" + (f": {why}" if why else ""))
        for wave, why in ((wave, before.verdict.reason if before.verdict else "") for wave in range(before.wave + 1, after.wave + 1))
    ]
    if after.proven > before.proven:
        why = after.verdict.reason if after.verdict else ""
        entries.append(Entry(now, FLEET, "prove", f"wave {after.wave + 1} serves after its shadow" + (f": {why}" if why else "")))
    if after.state is not before.state:
        if after.state is State.PAUSED:
            entries.append(Entry(now, FLEET, "pause", after.state_reason))
        elif after.state is State.FAILED and before.state in (State.RUNNING, State.PAUSED) and after.ended_at is None:
            entries.append(Entry(now, FLEET, "stop", after.state_reason))
    if after.ended_at is not None and before.ended_at is None:
        entries.append(Entry(now, FLEET, "end", ": ".join(filter(None, (after.state.value, after.state_reason)))))
    return entries
