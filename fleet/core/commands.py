"""Decides what a new command says, how one that was given stands, and for how long what it brought is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from contracts.commands import Command, Order, State

# How many of a device may wait: whoever wants more has a rollout in mind.
MAX_PENDING = 16
# A command that no device took is told again: one that was away hears it when it is back. A device that is slow needs some time to judge.
REPEAT = timedelta(seconds=30)
# An answer may take a while to arrive; and what is under way, as long as the device lets it.
ANSWER_GRACE, RUN_GRACE = timedelta(seconds=30), timedelta(minutes=20)
# Pictures show people; what is not fetched by then was not needed.
PICTURE_LIFE = timedelta(days=1)

Standing = Literal["pending", "running", "ok", "refused", "failed", "expired"]
FINAL: frozenset[State] = frozenset({"ok", "refused", "failed"})


def new_command(number: str, device: str, order: Order, asker: str, issued_at: datetime, life_s: float) -> Command:
    """Return a command that is good from now on; expiries are whole seconds."""
    return Command(
        id=number, device=device, asker=asker, issued_at=issued_at, expires_at=issued_at + timedelta(seconds=life_s), order=order
    )


def standing(said: State | None, expires_at: datetime, now: datetime) -> Standing:
    """Return how a command stands, by what the device said last and the time; nothing is pending or running for ever."""
    if said is None:
        return "expired" if now > expires_at + ANSWER_GRACE else "pending"
    if said == "running":
        return "expired" if now > expires_at + RUN_GRACE else "running"
    return said


def is_news(said: State, before: State | None) -> bool:
    """Say whether a device's word changes anything: brokers repeat, and the first end is the end."""
    return before not in FINAL and said != before
