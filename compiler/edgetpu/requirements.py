"""What an Edge TPU asks of every operator's tensors, whatever the operator: coral.ai/docs/edgetpu/models-intro, "Model requirements"."""

from __future__ import annotations

import math

from compiler.edgetpu.case import Case, Check, Verdict, short
from compiler.importers.tflite.flatbuffer import Tensor

FIXED_POINT = frozenset({"INT8", "UINT8"})
# Whole numbers that steer an operator: shapes, axes, places; and the sums that biases are added to.
STEERING = frozenset({"INT32", "INT64"})
INNER_AXES = 3


def static_sizes(case: Case) -> Verdict | None:
    """Check that no size is left open, but for a batch that the file itself sets to 1, as Keras leaves it."""
    free = next((tensor for tensor in case.values if tensor.free_axes and not _is_open_batch(tensor)), None)
    if free is None:
        return None
    return Verdict("cpu", f"tensor {short(free)} has a size that is open in the file", "give every input a static shape, and batch 1")


def fixed_point(case: Case) -> Verdict | None:
    """Check that all numbers are 8-bit integers with a scale; constants may also be whole numbers that steer."""
    for tensor in case.values:
        if tensor.datatype not in FIXED_POINT:
            return Verdict("cpu", f"tensor {short(tensor)} is {tensor.datatype.lower()}, not 8-bit fixed point", _integers(tensor.datatype))
        if tensor.quantization is None:
            return Verdict("unknown", f"tensor {short(tensor)} has 8-bit integers without a scale")
    for constant in case.inputs:
        if constant is not None and constant.data is not None and constant.datatype not in FIXED_POINT | STEERING:
            return Verdict("cpu", f"constant {short(constant)} is {constant.datatype.lower()}, not 8-bit fixed point")
    return None


def three_dimensions(case: Case) -> Verdict | None:
    """Check that of a tensor with more than three dimensions only the three inner ones are larger than 1."""
    for tensor in case.values:
        outer = tensor.shape[:-INNER_AXES]
        if math.prod(outer) > 1:
            found = f"tensor {short(tensor)} of shape {list(tensor.shape)} has more than its three inner dimensions above 1"
            return Verdict("cpu", found, "use batch 1" if len(tensor.shape) == INNER_AXES + 1 else None)
    return None


def _is_open_batch(tensor: Tensor) -> bool:
    return tensor.free_axes == {0} and tensor.shape[0] == 1


def _integers(datatype: str) -> str | None:
    return "give the file int8 inputs and outputs" if datatype == "FLOAT32" else None


REQUIREMENTS: tuple[Check, ...] = (static_sizes, fixed_point, three_dimensions)
