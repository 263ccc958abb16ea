"""How the integers of a quantized tensor stand for real values: one rule for the compiler's gate and for every device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def quantized(values: npt.NDArray[Any], dtype: np.dtype[Any], scale: float, zero_point: int) -> npt.NDArray[Any]:
    """Return what a runtime takes for real values: rounded to even and saturated.

    A float `dtype` takes them as they are; a `scale` of 0 means that the integers are the values themselves.
    """
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    real = values.astype(np.float32)
    steps = np.rint(real / np.float32(scale) + zero_point if scale else real)
    bounds = np.iinfo(dtype)
    return np.clip(steps, bounds.min, bounds.max).astype(dtype)


def real(steps: npt.NDArray[Any], scale: float, zero_point: int) -> npt.NDArray[np.float32]:
    """Return the float32 values that a runtime's integers stand for."""
    values: npt.NDArray[np.float32] = (steps.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values
