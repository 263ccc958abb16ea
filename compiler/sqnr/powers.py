"""Sums the power of a layer's signal and of its noise as samples stream by; what is kept does not grow with their number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compiler.sqnr.port import Floats, Reading, Steps

# As equal as float32 can tell, and as hopeless as one needs to know.
MAX_DB, MIN_DB = 120.0, -40.0
# Values that are worked on at once, in float64.
CHUNK = 1 << 18


@dataclass
class Powers:
    """One tensor of the shipped file against the float model's."""

    channel_axis: int
    signal: float = 0.0
    noise: float = 0.0
    # What the tensor's own steps alone do to the float model's values: inside their range, and beyond it.
    rounding: float = 0.0
    clipping: float = 0.0
    values: int = 0
    clipped: int = 0
    low: float = 0.0
    high: float = 0.0
    steps: Steps | None = None
    # The largest magnitude in each channel.
    reach: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def sqnr_db(self) -> float:
        """Return 10 log10 of signal over noise, within what can be told."""
        if self.noise == 0.0:
            return MAX_DB
        if self.signal == 0.0 or math.isinf(self.noise):
            return MIN_DB
        return min(MAX_DB, max(MIN_DB, 10 * math.log10(self.signal / self.noise)))

    def add(self, expected: Floats, found: Reading) -> None:
        """Add one sample."""
        self.steps = found.steps
        if not np.isfinite(found.values).all():  # half precision ends at 65504
            self.noise = math.inf
        flat, others = expected.reshape(-1), found.values.reshape(-1)
        for start in range(0, flat.size, CHUNK):
            values = flat[start : start + CHUNK].astype(np.float64)
            self._add(values, others[start : start + CHUNK])
        self.values += flat.size
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        along = tuple(axis for axis in range(expected.ndim) if axis != self.channel_axis)
        reach = np.maximum(expected.max(axis=along), -expected.min(axis=along)).astype(np.float64)
        self.reach = reach if not self.reach.size else np.maximum(self.reach, reach)

    def _add(self, values: npt.NDArray[np.float64], others: Floats) -> None:
        self.signal += float(np.square(values).sum())
        if math.isfinite(self.noise):
            self.noise += float(np.square(values - others).sum())
        if self.steps is None:
            return
        steps = np.rint((values - self.steps.low) / self.steps.step)
        most = round((self.steps.high - self.steps.low) / self.steps.step)
        own = np.square(values - (np.clip(steps, 0, most) * self.steps.step + self.steps.low))
        is_beyond = (steps < 0) | (steps > most)
        clipping = float(own[is_beyond].sum())
        self.clipping += clipping
        self.rounding += float(own.sum()) - clipping
        self.clipped += int(is_beyond.sum())
