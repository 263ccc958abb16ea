"""Decides whether a process's memory grows without end, and whether it must be replaced before it takes too much."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

# Fewer samples than this say nothing about a slope.
MIN_SAMPLES = 12
# A replacement loads a model and runs its golden set: who would pass the bound in that time is replaced now.
REPLACEMENT_S = 120.0
# Past this share of its bound a process is ended at once, because its replacement did not come in time.
LAST_STRAW = 1.5
MIB = 1 << 20


@dataclass(frozen=True)
class Sample:
    """Resident memory at a moment of a monotonic clock."""

    at_s: float
    rss_bytes: int


def slope_bytes_per_s(samples: Sequence[Sample]) -> float:
    """Return the median slope over all pairs, which a quarter of wild samples does not move; 0 for less than two moments.

    Theil, "A rank-invariant method of linear and polynomial regression analysis", 1950; Sen, J. Am. Stat. Assoc. 63, 1968, 1379-1389.
    """
    pairs = combinations(samples, 2)
    slopes = [(later.rss_bytes - sooner.rss_bytes) / (later.at_s - sooner.at_s) for sooner, later in pairs if later.at_s > sooner.at_s]
    return statistics.median(slopes) if slopes else 0.0


def steady_growth_bytes_per_s(samples: Sequence[Sample]) -> float:
    """Return how fast memory grows in both halves of the samples; 0 for what has settled, or for too few samples."""
    if len(samples) < MIN_SAMPLES:
        return 0.0
    every, middle = tuple(samples), len(samples) // 2
    return max(0.0, min(slope_bytes_per_s(every), slope_bytes_per_s(every[:middle]), slope_bytes_per_s(every[middle:])))


def tiredness(samples: Sequence[Sample], bound_bytes: int) -> str:
    """Say why a process should be replaced in good order, or nothing."""
    if not samples:
        return ""
    newest = samples[-1].rss_bytes
    if newest > bound_bytes:
        return f"memory: expected at most {bound_bytes // MIB} MiB, found {newest // MIB} MiB"
    growth = steady_growth_bytes_per_s(samples)
    if newest > bound_bytes / 2 and newest + growth * REPLACEMENT_S > bound_bytes:
        rate = growth * 60 / MIB
        return f"memory: expected at most {bound_bytes // MIB} MiB, found {newest // MIB} MiB that grow by {rate:.0f} MiB a minute"
    return ""


def is_last_straw(rss_bytes: int, bound_bytes: int) -> bool:
    """Say whether a process takes so much that it cannot be left to finish."""
    return rss_bytes > bound_bytes * LAST_STRAW
