"""Decides when to ask for chunks, and for which: receiver-driven, so that a slow link is never flooded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.core.backoff import delay_s
from contracts.chunks import Bitmap

# How many chunks may be under way at once.
WINDOW = 8
SILENCE_S = 2.0
LONGEST_SILENCE_S = 60.0


@dataclass(frozen=True)
class Transfer:
    """One file on its way; times are monotonic seconds."""

    missing: Bitmap
    asked_at_s: float | None = None
    heard_at_s: float = 0.0
    # Wanted chunks that came since the last want, and wants in a row that nothing answered.
    arrived: int = 0
    unanswered: int = 0

    @property
    def is_untouched(self) -> bool:
        """Say whether no chunk is here yet."""
        return len(self.missing) == self.missing.count

    def hear(self, index: int, now_s: float) -> Transfer:
        """Take a checked chunk."""
        if index not in self.missing:
            return self
        return replace(self, missing=self.missing.without(index), heard_at_s=now_s, arrived=self.arrived + 1, unanswered=0)

    def hear_wrong(self, now_s: float) -> Transfer:
        """Take note of a chunk that was not what its digest says: somebody answers, so the next want need not wait longer."""
        return replace(self, heard_at_s=now_s, unanswered=0)

    def ask(self, now_s: float) -> Transfer:
        """Take note of a want that goes out now."""
        unanswered = self.unanswered + (self.asked_at_s is not None and self.arrived == 0)
        return replace(self, asked_at_s=now_s, arrived=0, unanswered=unanswered)

    def lose_link(self) -> Transfer:
        """Ask at once when the link is back."""
        return replace(self, asked_at_s=None, arrived=0, unanswered=0)

    def waits_s(self, now_s: float, chance: float) -> float:
        """Return how long from now the next want is due if nothing arrives; zero or less means now."""
        if self.asked_at_s is None or self.arrived >= WINDOW // 2:
            return 0.0
        patience_s = delay_s(self.unanswered + 1, chance, first_s=SILENCE_S, longest_s=LONGEST_SILENCE_S)
        return max(self.asked_at_s, self.heard_at_s) + patience_s - now_s
