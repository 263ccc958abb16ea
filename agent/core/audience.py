"""Decides when a device says again what the broker had nobody to give to: it acknowledges such a message, and forgets it.

Some brokers forget shared subscriptions when they start anew; until a server is back they say that nobody is there (MQTT 5.0, 3.4.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.backoff import delay_s

FIRST_S, LONGEST_S = 1.0, 60.0


@dataclass(frozen=True)
class Audience:
    """Whether anybody took what was said last, and when it may be said again, by a monotonic clock."""

    absences: int = 0
    again_s: float = 0.0

    def silence_s(self, now_s: float) -> float:
        """Return how long to be silent yet."""
        return max(0.0, self.again_s - now_s) if self.absences else 0.0

    def after(self, is_taken: bool, now_s: float, chance: float) -> Audience:
        """Take note of how it went with one message; `chance` in 0..1 spreads a fleet."""
        if is_taken:
            return Audience()
        absences = self.absences + 1
        return Audience(absences, now_s + delay_s(absences, chance, first_s=FIRST_S, longest_s=LONGEST_S))
