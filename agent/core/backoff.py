"""Decides how long to wait before trying again."""

from __future__ import annotations


def delay_s(failures: int, chance: float, *, first_s: float, longest_s: float) -> float:
    """Return a wait that doubles with each failure in a row; `chance` in 0..1 spreads a fleet over its upper half."""
    full_s = min(longest_s, first_s * 2.0 ** min(max(failures - 1, 0), 32))
    return full_s * (0.5 + chance / 2)
