"""Turns float numbers into the integers of TFLite's quantization specification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.lower.tflite.ir import Constant, Floats, Kernel, Shape
from compiler.lower.tflite.kinds import Facts
from compiler.lower.tflite.stored import Element, Params, Stored
from compiler.quantize.plan import MIN_SCALE, WEIGHT_MAX, Activation

# Half of what an int32 holds: the other half is left to the sum of products.
BIAS_MAX = 2**30


@dataclass(frozen=True)
class Width:
    """The integers that activations have."""

    element: Element
    lowest: int
    highest: int
    bias: Element

    def params(self, span: Activation) -> Params:
        """Return the plan's parameters for int8; for int16 the symmetric ones that the specification asks for."""
        if self.element is Element.INT8:
            affine = span.asymmetric()
            return Params((affine.scale,), affine.zero_point)
        reach = max(abs(span.low), abs(span.high))
        return Params((float(np.float32(max(reach / self.highest, MIN_SCALE))),))

    def fixed(self, facts: Facts) -> Params | None:
        """Return the parameters that an operator's output has by the specification."""
        given = facts.fixed if self.element is Element.INT8 else facts.fixed16
        return None if given is None else Params((given[0],), given[1])

    def version(self, facts: Facts) -> int | None:
        """Return the operator's version for these integers, None where it has none."""
        return facts.int8_version if self.element is Element.INT8 else facts.int16_version

    def stored(self, value: Constant, params: Params | None) -> Stored:
        """Return a constant operand as integers: with its own parameters where none are asked for."""
        params = params or self._own(value.values)
        steps = np.rint(value.values.astype(np.float64) / params.scale) + params.zero_point
        integers = np.clip(steps, self.lowest, self.highest).astype(self.element.value)
        return Stored(value.name, value.shape, self.element, params, integers)

    def _own(self, values: Floats) -> Params:
        """Use all steps between the least and the greatest number; one number alone is exact."""
        low, high = float(values.min()), float(values.max())
        if low == high and low != 0:
            return Params((float(np.float32(abs(low) / WEIGHT_MAX)),))
        return self.params(Activation(low=low, high=high, calibrator="constant"))


INT8 = Width(Element.INT8, -128, 127, Element.INT32)
INT16 = Width(Element.INT16, -32768, 32767, Element.INT64)


def weights_and_bias(weights: Kernel, bias: Constant, input_scale: float, width: Width) -> tuple[Stored, Stored]:
    """Return weights as the plan's integers, and the bias in steps of input scale times weight scale.

    A channel whose weights are so small that its bias would leave int32 gets larger steps: such weights hardly matter to the sum.
    """
    scales = weights.scales.astype(np.float64)
    wide = bias.values.astype(np.float64)
    floors = np.abs(wide) / (input_scale * BIAS_MAX)
    integers = weights.integers
    if width.bias is Element.INT32 and np.any(floors > scales):
        along = [1] * integers.ndim
        along[weights.axis] = -1
        raised = np.maximum(scales, floors).astype(np.float32)
        integers = np.rint(integers * (scales / raised).reshape(along)).astype(np.int8)
        scales = raised.astype(np.float64)
    steps = np.rint(wide / (input_scale * scales))
    limit = BIAS_MAX * 2 - 1
    params = Params(tuple(float(scale) for scale in np.float32(scales)), axis=weights.axis)
    bias_params = Params(tuple(float(scale) for scale in np.float32(scales * input_scale)))
    return (
        Stored(weights.name, weights.shape, Element.INT8, _plain(params), integers),
        Stored(bias.name, bias.shape, width.bias, _plain(bias_params), np.clip(steps, -limit, limit).astype(width.bias.value)),
    )


def _plain(params: Params) -> Params:
    """Say one scale once, where all channels have the same."""
    return Params(params.scales[:1]) if len(set(params.scales)) == 1 else params


def weights_alone(weights: Kernel) -> Stored:
    """Return weights as integers for float activations."""
    params = Params(tuple(float(scale) for scale in weights.scales), axis=weights.axis)
    return Stored(weights.name, weights.shape, Element.INT8, params, weights.integers)


def floats(value: Constant, element: Element) -> Stored:
    """Return a constant as float numbers."""
    shape: Shape = value.shape
    return Stored(value.name, shape, element, None, value.values.astype(element.value))
