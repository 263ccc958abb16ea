"""Decides which requests are slow: those beyond a multiple of the 95th percentile that was usual, on the device itself where known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.sketches import Sketch, bin_of, merged
from fleet.core.gates.evidence import Sums

PERCENTILE = 0.95
# A device's own percentile is known from so many requests on; below, the control's stands in.
MIN_REQUESTS = 200


def slow_sums(canary: Sequence[tuple[Sketch, Sketch]], control: Iterable[Sketch], max_ratio: float) -> list[Sums]:
    """Return each canary's slow requests among all, from its latencies now and before; nothing while nobody shows what is usual.

    A release whose 95th percentile stays below `max_ratio` times the usual one has fewer than a twentieth of them.
    """
    usual = merged(control)
    sums = []
    for now, before in canary:
        known = before if before.count >= MIN_REQUESTS else usual
        if known.count and now.count:
            sums.append(Sums(_slower(now, max_ratio * known.quantile(PERCENTILE)), now.count))
    return sums


def _slower(sketch: Sketch, limit_ms: float) -> int:
    limit = bin_of(limit_ms)
    return sum(count for index, count in sketch.bins().items() if index > limit)
