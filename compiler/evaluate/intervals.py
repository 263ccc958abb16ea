"""Confidence intervals of a share, and of the difference of two shares measured on the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

# Two-sided 95 %.
Z = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """Lower and upper end."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedCounts:
    """Samples by who is right: both models, only the float one, only the compiled one, neither."""

    both: float
    lost: float
    gained: float
    neither: float

    @property
    def n(self) -> float:
        """Return the number of samples."""
        return self.both + self.lost + self.gained + self.neither

    @property
    def drop(self) -> float:
        """Return by how much the float model's share of right answers exceeds the compiled one's."""
        return (self.lost - self.gained) / self.n

    def scaled(self, factor: float) -> PairedCounts:
        """Return what `factor` times as many samples would show at the same rates."""
        return PairedCounts(self.both * factor, self.lost * factor, self.gained * factor, self.neither * factor)


def share_interval(hits: float, n: float) -> Interval:
    """Return Wilson's score interval (J. Am. Stat. Assoc. 22, 1927, 209-212)."""
    share = hits / n
    centre = share + Z * Z / (2 * n)
    reach = Z * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    width = 1 + Z * Z / n
    return Interval(max(0.0, (centre - reach) / width), min(1.0, (centre + reach) / width))


def drop_interval(counts: PairedCounts) -> Interval:
    """Return the interval of the paired drop: method 10 of R. G. Newcombe, Statistics in Medicine 17, 1998, 2635-2650.

    It squares and adds two Wilson intervals and allows for their correlation; without a single changed answer it still has a width.
    """
    first, second = (counts.both + counts.lost) / counts.n, (counts.both + counts.gained) / counts.n
    one, two = share_interval(first * counts.n, counts.n), share_interval(second * counts.n, counts.n)
    phi = _correlation(counts)

    def reach(a: float, b: float) -> float:
        return sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return Interval(counts.drop - reach(first - one.low, two.high - second), counts.drop + reach(one.high - first, second - two.low))


def _correlation(counts: PairedCounts) -> float:
    """Return phi of the 2x2 table, drawn towards 0 by half a sample in n where it is positive."""
    a, b, c, d = counts.both, counts.lost, counts.gained, counts.neither
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    cross = a * d - b * c
    if cross > 0:
        cross = max(cross - counts.n / 2, 0.0)
    return cross / sqrt(margins)
