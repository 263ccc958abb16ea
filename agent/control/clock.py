"""Measures how long one model's update waits and how long its release has served, by a clock that never jumps."""

from __future__ import annotations

import math

import anyio

from agent.core.update import STEADY_S, Event, Steady, Update, Waited, next_tick_s
from agent.core.update.state import is_same
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef

# A release on trial is looked at so often before it counts as steady.
LOOKS = 60


class Clock:
    """What time does to one model's machine."""

    def __init__(self, probation_s: float, steady_s: float = STEADY_S) -> None:
        """Give a release `probation_s` before its time in probation counts, and call it steady after `steady_s`."""
        self._probation_s = probation_s
        self._steady_s = steady_s
        # Time up to here was told to the machine.
        self._told_until_s = -math.inf
        self._calm_since_s = math.inf

    def allow(self, probation_s: float) -> None:
        """Give releases another probation, from the next one on."""
        self._probation_s = probation_s

    def begin(self, phase: Phase) -> None:
        """Count from now on: the machine entered a phase."""
        self._told_until_s = anyio.current_time() + (self._probation_s if phase is Phase.PROBATION else 0.0)

    def renew(self) -> None:
        """Forget what was not told yet: there was progress."""
        self._told_until_s = anyio.current_time()

    def disturb(self) -> None:
        """Note that the serving release crashed."""
        self._calm_since_s = math.inf

    def pause_s(self, update: Update) -> float:
        """Return after which time `due` is worth a look, unless something happens before."""
        tick_s = next_tick_s(update)
        pause_s = math.inf if tick_s is None else self._told_until_s + tick_s - anyio.current_time()
        if self._is_unproven(update):
            pause_s = min(pause_s, self._steady_s / LOOKS)
        return max(0.0, pause_s)

    def due(self, update: Update, serving: ReleaseRef | None) -> Event | None:
        """Return what the machine has to hear of the time, if anything."""
        now_s, current = anyio.current_time(), update.current
        if current is None or not is_same(serving, current):
            self._calm_since_s = math.inf
        elif math.isinf(self._calm_since_s):
            self._calm_since_s = now_s
        elif self._is_unproven(update) and now_s - self._calm_since_s >= self._steady_s:
            return Steady(current)
        tick_s = next_tick_s(update)
        if tick_s is None or now_s - self._told_until_s < tick_s:
            return None
        elapsed_s, self._told_until_s = now_s - self._told_until_s, now_s
        return Waited(elapsed_s)

    @staticmethod
    def _is_unproven(update: Update) -> bool:
        return update.current is not None and not is_same(update.current, update.good)
