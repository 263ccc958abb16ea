"""Decides how a distribution is told in few bytes: counts in logarithmic bins, which add up exactly however windows are merged.

The bins are those of DDSketch (Masson, Rim, Lee: DDSketch, PVLDB 12(12), 2019, section 2) over a range that is fixed by this contract,
so that two sketches always fit together and neither can grow past `BINS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import ceil, log
from typing import Annotated

from pydantic import BaseModel, Field, model_validator

# A quantile differs from the true value of that rank by no more than this share of it.
RELATIVE_ERROR = 0.01
# Below and above, a value counts as the bound: in milliseconds a microsecond and an hour; a score of less than one in a thousand is none.
LOWEST, HIGHEST = 0.001, 3_600_000.0

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
# Bin i holds the values above LOWEST * GAMMA**(i - 1) and up to LOWEST * GAMMA**i.
BINS = ceil(log(HIGHEST / LOWEST) / log(_GAMMA)) + 1

_Step = Annotated[int, Field(ge=0, lt=BINS)]
_Count = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Sketch(BaseModel, frozen=True, extra="ignore"):
    """A distribution; equal ones have equal bytes, and an empty one has no bins."""

    # How far each bin that holds anything lies behind the one before, the first behind bin 0.
    steps: Annotated[tuple[_Step, ...], Field(max_length=BINS)]
    counts: Annotated[tuple[_Count, ...], Field(max_length=BINS)]

    @model_validator(mode="after")
    def _fits(self) -> Sketch:
        if len(self.steps) != len(self.counts):
            raise ValueError(f"expected as many counts as steps, {len(self.steps)}, found {len(self.counts)}")
        if sum(self.steps) >= BINS or 0 in self.steps[1:]:
            raise ValueError(f"expected growing bins below {BINS}, found others")
        return self

    @classmethod
    def of(cls, bins: Mapping[int, int]) -> Sketch:
        """Return the sketch of counts by bin, each bin as `bin_of` gives it."""
        indexes = sorted(index for index, count in bins.items() if count)
        steps = tuple(index - before for before, index in zip([0, *indexes], indexes, strict=False))
        return cls(steps=steps, counts=tuple(bins[index] for index in indexes))

    @property
    def count(self) -> int:
        """Return how many values it holds."""
        return sum(self.counts)

    def bins(self) -> dict[int, int]:
        """Return the counts by bin, in order."""
        return dict(zip(accumulate(self.steps), self.counts, strict=True))

    def quantile(self, share: float) -> float:
        """Return the value of nearest rank for a share in 0..1, within `RELATIVE_ERROR`; ValueError when it is empty."""
        if not self.counts:
            raise ValueError("quantile: expected a sketch with values, found an empty one")
        rank = max(1, ceil(share * self.count))
        index = next(index for index, seen in zip(accumulate(self.steps), accumulate(self.counts), strict=True) if seen >= rank)
        return value_of(index)


def bin_of(value: float) -> int:
    """Return the bin of a value that is a number; what lies outside the range counts as its bound."""
    return 0 if value <= LOWEST else min(BINS - 1, ceil(log(value / LOWEST) / log(_GAMMA)))


def value_of(index: int) -> float:
    """Return the value that is within `RELATIVE_ERROR` of every value of a bin inside the range."""
    return LOWEST * 2 * _GAMMA**index / (_GAMMA + 1)


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """Return the sketch of all their values: the very one that they would have made together."""
    total: dict[int, int] = {}
    for sketch in sketches:
        for index, count in sketch.bins().items():
            total[index] = total.get(index, 0) + count
    return Sketch.of(total)
