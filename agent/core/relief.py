"""Decides when a worker that takes too much may be replaced: a model that is too large for its bound is not helped again and again."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.backoff import delay_s

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 3600.0


@dataclass(frozen=True)
class Relief:
    """How often it was tried in a row, and when it may be again, by a monotonic clock."""

    tries: int = 0
    due_s: float = 0.0

    def tried(self, now_s: float, served_s: float, chance: float) -> Relief:
        """Count a try; a worker that served for long before it grew tired starts a new row."""
        tries = 1 if served_s > LONGEST_PAUSE_S else self.tries + 1
        return Relief(tries, now_s + delay_s(tries, chance, first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S))
