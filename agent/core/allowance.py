"""Decides whether somebody speaks more often than he may."""

from __future__ import annotations


class Allowance:
    """So many words at once, and so many a second in the long run: a token bucket over a monotonic clock."""

    def __init__(self, burst: int, per_s: float) -> None:
        """Start with a full bucket."""
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._at_s = 0.0

    def takes(self, now_s: float) -> bool:
        """Count a word; say whether it was still allowed."""
        self._left = min(float(self._burst), self._left + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        self._left -= 1
        return self._left >= 0
