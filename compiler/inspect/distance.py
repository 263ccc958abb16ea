"""How far two models' answers to the same samples lie apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel


class Distance(BaseModel, frozen=True, extra="forbid"):
    """One output, the second model's against the first's, over all samples; null where it means nothing."""

    output: str
    other_output: str
    shape: tuple[int, ...]
    max_abs_difference: float
    mean_abs_difference: float
    # Of the first model's answers, in decibels of power; null where both are equal, bit for bit.
    sqnr_db: float | None
    cosine: float | None
    # The share of samples whose largest output is the same one; null for outputs of a single number.
    argmax_agreement: float | None


def distance(name: str, other_name: str, values: npt.NDArray[Any], others: npt.NDArray[Any]) -> Distance:
    """Compare answers [n, ...] of equal shapes; differences of not-a-number or infinite values count as infinite."""
    a, b = values.astype(np.float64), others.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(a - b)
    apart[np.isnan(a) & np.isnan(b) | (a == b)] = 0.0
    apart[np.isnan(apart)] = np.inf
    noise = float(np.square(apart).sum())
    signal = float(np.square(a).sum())
    length = math.sqrt(signal * float(np.square(b).sum()))
    flat_a, flat_b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    return Distance(
        output=name,
        other_output=other_name,
        shape=tuple(values.shape[1:]),
        max_abs_difference=_finite(float(apart.max(initial=0.0))),
        mean_abs_difference=_finite(float(apart.mean()) if apart.size else 0.0),
        sqnr_db=10 * math.log10(signal / noise) if 0 < noise < math.inf and 0 < signal < math.inf else None,
        cosine=float((a * b).sum()) / length if 0 < length < math.inf else None,
        argmax_agreement=float((flat_a.argmax(1) == flat_b.argmax(1)).mean()) if flat_a.shape[1] > 1 else None,
    )


def _finite(value: float) -> float:
    """JSON has no infinity: the largest number stands for it."""
    return min(value, float(np.finfo(np.float64).max))
