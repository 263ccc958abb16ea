"""What measuring asks of a runtime: the values inside a shipped file, by the normal-form graph's names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from compiler.evaluate.port import Feed

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Steps:
    """How a tensor's integers stand for real numbers: multiples of `step` from `low` to `high`."""

    step: float
    low: float
    high: float

    @classmethod
    def of(cls, dtype: np.dtype[Any], scale: float, zero_point: int) -> Steps:
        """Return what integers of a type can say."""
        ends = np.iinfo(dtype)
        return cls(scale, (int(ends.min) - zero_point) * scale, (int(ends.max) - zero_point) * scale)


@dataclass(frozen=True)
class Reading:
    """One tensor after one run: real values in the float model's shape, and its steps where it is stored as integers."""

    values: Floats
    steps: Steps | None


class Probe(Protocol):
    """A shipped file whose inside can be read."""

    @property
    def version(self) -> str:
        """Which library computes, and with which kernels."""

    def read(self, feed: Feed) -> Iterator[tuple[str, Reading]]:
        """Run one sample and yield each tensor; raise RunError."""
