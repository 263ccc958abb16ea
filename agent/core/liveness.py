"""Decides whether the agent still makes progress: every essential loop promises when it will be done with what it is at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Duty:
    """What one loop owes: to be done at `due_s` on the monotonic clock, or nothing while it waits for something to do."""

    name: str
    due_s: float | None


def overdue(duties: Iterable[Duty], now_s: float, grace_s: float) -> tuple[str, ...]:
    """Return who should have been done more than `grace_s` ago; while there is anybody, the watchdog is not fed."""
    return tuple(duty.name for duty in duties if duty.due_s is not None and now_s > duty.due_s + grace_s)
