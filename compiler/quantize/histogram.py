"""Counts a tensor's values in bins of fixed number: what is kept does not grow with what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Bins on each side of zero. The width is a power of two that doubles when a value falls outside, so that at least half of one side is
# in use: 1024 bins for what int8 divides into 127 or 255 steps.
HALF_BINS = 2048
_HALF_BITS = 11
# Narrower bins would leave the range of 32-bit floats.
_MIN_EXPONENT = -120


@dataclass(frozen=True)
class Histogram:
    """`counts[HALF_BINS + i]` values lay in [i * width, (i + 1) * width); all of them between `low` and `high`."""

    low: float
    high: float
    exponent: int
    counts: npt.NDArray[np.int64]

    @property
    def width(self) -> float:
        """Return the width of a bin."""
        return float(2.0**self.exponent)

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Return the bins' ends, one more than there are bins."""
        return np.arange(-HALF_BINS, HALF_BINS + 1, dtype=np.float64) * self.width

    @property
    def mean_square(self) -> float:
        """Return the mean of the squared values, but for the bins' width."""
        centres = self.edges[:-1] + self.width / 2
        return float((self.counts * centres**2).sum() / max(self.counts.sum(), 1))

    @classmethod
    def of(cls, values: npt.NDArray[np.float32]) -> Histogram:
        """Count the values of one array, which are finite."""
        low, high = float(values.min()), float(values.max())
        exponent = max(int(np.frexp(max(-low, high))[1]) - _HALF_BITS, _MIN_EXPONENT)
        places = np.floor(values.reshape(-1) * np.float32(2.0**-exponent)).astype(np.intp)
        places += HALF_BINS
        return cls(low, high, exponent, np.bincount(places, minlength=2 * HALF_BINS))

    def merged(self, other: Histogram) -> Histogram:
        """Return the counts of both, as if all values had been seen together."""
        exponent = max(self.exponent, other.exponent)
        counts = self._widened(exponent) + other._widened(exponent)
        return Histogram(min(self.low, other.low), max(self.high, other.high), exponent, counts)

    def _widened(self, exponent: int) -> npt.NDArray[np.int64]:
        """Return the counts in bins that are 2**n times as wide; a wide bin holds 2**n narrow ones whole."""
        by = min(exponent - self.exponent, _HALF_BITS + 1)
        if by == 0:
            return self.counts
        places = (np.arange(-HALF_BINS, HALF_BINS) >> by) + HALF_BINS
        widened: npt.NDArray[Any] = np.zeros_like(self.counts)
        np.add.at(widened, places, self.counts)
        return widened
