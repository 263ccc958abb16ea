"""What is known of devices on either side of a comparison: sums, one entry for each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


class Metric(str, Enum):
    """What may get worse; each is a rate: a device's total over its weight."""

    ERRORS = "errors"  # failed requests over requests
    LATENCY = "latency"  # requests slower than the limit over requests; `latency` makes them
    RESTARTS = "restarts"  # worker restarts over hours
    TEMPERATURE = "temperature"  # degrees Celsius, summed over readings
    DISAGREEMENT = "disagreement"  # answers that differ from the live model's over answers compared
    CONFIDENCE = "confidence"  # what the winning score lost against the live model's, summed over answers compared
    DRIFT = "drift"  # population stability index, times answers


class Sums(NamedTuple):
    """One device's part: what it did since the comparison began, and in a span before, when that is known."""

    total: float
    weight: float
    total_before: float = 0.0
    # Zero: nothing is known of before.
    weight_before: float = 0.0


# One arm's devices: rows of `Sums`, or the same as an array of shape [devices, 4].
Arm = Sequence[Sums] | Values


@dataclass(frozen=True)
class Rates:
    """Rates of one metric, shape [devices] each; `before` is NaN where nothing is known."""

    now: Values
    weight: Values
    before: Values

    @classmethod
    def of(cls, devices: Arm, min_weight: float) -> Rates:
        """Divide; a device that did less than `min_weight` is all noise, and left out."""
        rows = np.asarray(devices, np.float64).reshape(-1, len(Sums._fields))
        rows = rows[rows[:, 1] >= max(min_weight, np.finfo(np.float64).tiny)]
        is_known = rows[:, 3] >= max(min_weight, np.finfo(np.float64).tiny)
        before = np.full(len(rows), np.nan)
        np.divide(rows[:, 2], rows[:, 3], out=before, where=is_known)
        return cls(rows[:, 0] / rows[:, 1], rows[:, 1], before)

    @property
    def devices(self) -> int:
        """How many."""
        return len(self.now)


@dataclass(frozen=True)
class Evidence:
    """Canary devices run the release; those of the control run what it replaces, at the same time."""

    canary: Mapping[Metric, Arm]
    control: Mapping[Metric, Arm]
