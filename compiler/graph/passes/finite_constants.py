"""Writes infinite constants, by which masks say "nothing", as numbers that are as good as infinite and can be worked with."""

from __future__ import annotations

import numpy as np
import onnx

from compiler.graph.index import GraphIndex, set_constant
from compiler.graph.passes.port import Pass

# A softmax gives it exactly 0, a maximum never chooses it, and no sum of two of them leaves 32-bit floats.
NOTHING = 1e30
# So near to the end of 32-bit floats that two of them may sum to infinity.
ENDLESS = 1e37


def apply(model: onnx.ModelProto) -> None:
    """Bring infinite constants, and those next to it, to ±1e30; what is no number stays, and is refused where it matters."""
    for name, values in GraphIndex(model).constants.items():
        endless = np.abs(values) > ENDLESS if values.dtype == np.float32 else np.zeros(0, bool)
        if endless.any():
            set_constant(model, name, np.where(endless, np.sign(values) * np.float32(NOTHING), values).astype(np.float32))


FINITE_CONSTANTS = Pass("constants that are finite", apply)
