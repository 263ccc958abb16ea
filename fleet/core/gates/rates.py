"""What is known of devices, as arrays to reckon with: the only form in which a gate looks at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fleet.core.gates.evidence import Arm, Sums

Values = npt.NDArray[np.float64]


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
