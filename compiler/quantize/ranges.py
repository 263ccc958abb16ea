"""Calibrators: each decides from the counted values of a tensor which range its 256 steps shall cover."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from compiler.quantize.histogram import HALF_BINS, Histogram

STEPS = 255
# How many ends the search for the least squared error tries on each side.
CANDIDATES = 64
# A divergence is between a tensor's distribution and the one that this many levels can show: TensorRT's choice for one side of zero.
ENTROPY_LEVELS = 128
# Costs a third of a bit.
HEADROOM = 1.25


class Range(NamedTuple):
    """The values that are kept apart; those beyond an end become that end."""

    low: float
    high: float


Calibrator = Callable[[Histogram], Range]


def minmax(seen: Histogram) -> Range:
    """Keep every value that was seen."""
    return Range(seen.low, seen.high)


def headroom(seen: Histogram) -> Range:
    """Keep every value that was seen and a quarter more on each side, for a model that is asked for what it never saw."""
    return Range(seen.low * HEADROOM, seen.high * HEADROOM)


def percentile(seen: Histogram, share: float) -> Range:
    """Cut off, on each side of zero, the values that fewer than 1 - `share` of all lie beyond."""
    beyond = (1 - share) * seen.counts.sum()
    upper = seen.counts[::-1].cumsum()[::-1]  # values in this bin or above
    lower = seen.counts.cumsum()
    edges = seen.edges
    high = edges[1:][upper > beyond].max(initial=0.0)
    low = edges[:-1][lower > beyond].min(initial=0.0)
    return _within(seen, low, high)


def least_error(seen: Histogram) -> Range:
    """Find the range with the smallest sum of squared errors: rounding of what is inside, clipping of what is outside."""
    lows = np.linspace(min(seen.low, 0.0), 0.0, CANDIDATES, endpoint=False)
    highs = np.linspace(max(seen.high, 0.0), 0.0, CANDIDATES, endpoint=False)
    if seen.low >= 0:
        lows = lows[:1]
    if seen.high <= 0:
        highs = highs[:1]
    clipped = _clipping(seen, -lows, is_upper=False)[:, None] + _clipping(seen, highs, is_upper=True)[None]
    step = (highs[None] - lows[:, None]) / STEPS
    errors = clipped + seen.counts.sum() * step**2 / 12
    low, high = np.unravel_index(int(errors.argmin()), errors.shape)
    return Range(float(lows[low]), float(highs[high]))


def entropy(seen: Histogram) -> Range:
    """Cut both sides at the magnitude that loses the least information: the smallest Kullback-Leibler divergence between the
    distribution of magnitudes, with what is beyond the cut counted at it, and its image in 128 levels.

    S. Migacz, "8-bit Inference with TensorRT", GTC 2017.
    """
    magnitudes = (seen.counts[HALF_BINS:] + seen.counts[:HALF_BINS][::-1]).astype(np.float64)
    magnitudes[0] = 0.0  # zeros are exact in any range
    used = int(np.flatnonzero(magnitudes).max(initial=0)) + 1
    cuts = np.unique(np.linspace(min(ENTROPY_LEVELS, used), used, ENTROPY_LEVELS).astype(int))
    divergences = [_divergence(magnitudes, int(cut)) for cut in cuts]
    reach = float(cuts[int(np.argmin(divergences))]) * seen.width
    return _within(seen, -reach, reach)


CALIBRATORS: dict[str, Calibrator] = {
    "minmax": minmax,
    "percentile-99.9": partial(percentile, share=0.999),
    "percentile-99.99": partial(percentile, share=0.9999),
    "mse": least_error,
    "entropy": entropy,
    "headroom": headroom,
}


def _within(seen: Histogram, low: float, high: float) -> Range:
    return Range(float(max(low, seen.low)), float(min(high, seen.high)))


def _clipping(seen: Histogram, ends: npt.NDArray[np.float64], *, is_upper: bool) -> npt.NDArray[np.float64]:
    """Return for each end the squared error of the values beyond it, from running sums of their moments."""
    counts = (seen.counts[HALF_BINS:] if is_upper else seen.counts[:HALF_BINS][::-1]).astype(np.float64)
    centres = (np.arange(HALF_BINS) + 0.5) * seen.width
    first = np.minimum((ends / seen.width).astype(int), HALF_BINS - 1)
    mass, mean, square = (_beyond(counts * centres**power)[first] for power in range(3))
    # The bin in which the end lies counts whole; its centre may lie a little inside, so the sum is kept from falling below zero.
    return np.asarray(np.maximum(square - 2 * ends * mean + ends**2 * mass, 0.0), dtype=np.float64)


def _beyond(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(values[::-1].cumsum()[::-1], dtype=np.float64)


def _divergence(magnitudes: npt.NDArray[np.float64], cut: int) -> float:
    """Return KL(P || Q) in nats, up to a constant; both have `cut` bins and the same mass."""
    inside = magnitudes[:cut]
    clipped = inside.copy()
    clipped[-1] += magnitudes[cut:].sum()
    is_used = inside > 0
    starts = np.unique((np.arange(ENTROPY_LEVELS) * cut) // ENTROPY_LEVELS)
    sizes = np.diff(np.append(starts, cut))
    level = np.add.reduceat(inside, starts) / np.maximum(np.add.reduceat(is_used.astype(np.float64), starts), 1)
    image = np.where(is_used, np.repeat(level, sizes), 0.0)
    if not image.any():
        return np.inf
    p, q = clipped / clipped.sum(), image / image.sum()
    # A bin that only the clipped values fill has no image; a small mass there keeps the divergence finite and large.
    return float((p[p > 0] * np.log(p[p > 0] / np.maximum(q[p > 0], 1e-9))).sum())
