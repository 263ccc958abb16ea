"""Draws what is computed number by number: arithmetic, activations, and the softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from compiler.importers.tflite.flatbuffer import Operator
from compiler.importers.tflite.sketch import TO_SECOND, Sketch

Draw = Callable[[Sketch, Operator], None]
# schema.fbs, ActivationFunctionType: what a layer may apply to its own result. Bounds make a Clip.
_NONE, _RELU, _RELU_N1_TO_1, _RELU6 = range(4)
_BOUNDS = {_RELU_N1_TO_1: (-1.0, 1.0), _RELU6: (0.0, 6.0)}


def put_activated(
    sketch: Sketch, operator: Operator, activation: int, op_type: str, inputs: Sequence[str], *, second: bool, **attributes: Any
) -> None:
    """Draw an operator's node, and the activation that is fused into it as a node of its own."""
    result = operator.outputs[0]
    if activation == _NONE:
        sketch.put(result, op_type, inputs, second=second, **attributes)
        return
    name = sketch.node(op_type, inputs, f"{sketch.tensor(result).name}_linear", **attributes)
    if activation in _BOUNDS:
        sketch.put(result, "Clip", [name, *_bounds(sketch, *_BOUNDS[activation])], second=second)
    elif activation == _RELU:
        sketch.put(result, "Relu", [name], second=second)
    else:  # LiteRT's own kernels leave a fused Tanh out without a word
        sketch.refuse(operator, "a fused activation of Relu, Relu6 or Relu -1 to 1", f"number {activation}")


def _bounds(sketch: Sketch, low: float, high: float) -> list[str]:
    return [sketch.fixed(np.float32(low), "low"), sketch.fixed(np.float32(high), "high")]


def runs_second(sketch: Sketch, operator: Operator) -> bool:
    """Say whether an operator may be drawn with channels second: its computed inputs are images, and one of them is so already."""
    computed = [index for index in operator.inputs if index >= 0 and not sketch.is_constant(index)]
    is_image = all(len(sketch.tensor(index).shape) == 4 for index in (*computed, operator.outputs[0]))
    return is_image and any(sketch.has_second(index) for index in computed)


def operand(sketch: Sketch, index: int, *, second: bool) -> str:
    """Return an input's name in a layout; constants of fewer axes get the missing ones first, as broadcasting reads them."""
    values = sketch.constant(index)
    if not second:
        return sketch.last(index)
    if values is None or values.ndim == 4:
        return sketch.second(index)
    if values.size == 1:
        return sketch.last(index)
    return sketch.fixed(values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(TO_SECOND), sketch.tensor(index).name)


def each(op_type: str, **attributes: Any) -> Draw:
    """Draw one ONNX node that works number by number."""

    def draw(sketch: Sketch, operator: Operator) -> None:
        second = runs_second(sketch, operator)
        inputs = [operand(sketch, index, second=second) for index in operator.inputs]
        sketch.put(operator.outputs[0], op_type, inputs, second=second, **attributes)

    return draw


def binary(op_type: str, options: str) -> Draw:
    """Draw arithmetic of two inputs, which may have an activation fused into it."""

    def draw(sketch: Sketch, operator: Operator) -> None:
        second = runs_second(sketch, operator)
        inputs = [operand(sketch, index, second=second) for index in operator.inputs]
        activation = sketch.options(operator, options).fusedActivationFunction
        put_activated(sketch, operator, activation, op_type, inputs, second=second)

    return draw


def chain(*steps: str) -> Draw:
    """Draw ONNX nodes of one input each, one behind the other."""

    def draw(sketch: Sketch, operator: Operator) -> None:
        second = runs_second(sketch, operator)
        name = operand(sketch, operator.inputs[0], second=second)
        for step in steps[:-1]:
            name = sketch.node(step, [name])
        sketch.put(operator.outputs[0], steps[-1], [name], second=second)

    return draw


def clip(low: float, high: float) -> Draw:
    """Draw a rectifier with two bounds."""

    def draw(sketch: Sketch, operator: Operator) -> None:
        second = runs_second(sketch, operator)
        name = operand(sketch, operator.inputs[0], second=second)
        sketch.put(operator.outputs[0], "Clip", [name, *_bounds(sketch, low, high)], second=second)

    return draw


def square(sketch: Sketch, operator: Operator) -> None:
    """SQUARE: x * x."""
    second = runs_second(sketch, operator)
    name = operand(sketch, operator.inputs[0], second=second)
    sketch.put(operator.outputs[0], "Mul", [name, name], second=second)


def squared_difference(sketch: Sketch, operator: Operator) -> None:
    """SQUARED_DIFFERENCE: (a - b) * (a - b)."""
    second = runs_second(sketch, operator)
    difference = sketch.node("Sub", [operand(sketch, index, second=second) for index in operator.inputs])
    sketch.put(operator.outputs[0], "Mul", [difference, difference], second=second)


def leaky_relu(sketch: Sketch, operator: Operator) -> None:
    """LEAKY_RELU."""
    alpha = float(sketch.options(operator, "LeakyReluOptions").alpha)
    each("LeakyRelu", alpha=alpha)(sketch, operator)


def gelu(sketch: Sketch, operator: Operator) -> None:
    """GELU: x / 2 * (1 + erf(x / sqrt 2)), or its approximation by a tanh."""
    second = runs_second(sketch, operator)
    x = operand(sketch, operator.inputs[0], second=second)

    def number(value: float) -> str:
        return sketch.fixed(np.float32(value))

    if sketch.options(operator, "GeluOptions").approximate:
        cubed = sketch.node("Mul", [sketch.node("Mul", [x, x]), x])
        inner = sketch.node("Add", [x, sketch.node("Mul", [cubed, number(0.044715)])])
        bent = sketch.node("Tanh", [sketch.node("Mul", [inner, number((2 / np.pi) ** 0.5)])])
    else:
        bent = sketch.node("Erf", [sketch.node("Mul", [x, number(0.5**0.5)])])
    half = sketch.node("Mul", [x, number(0.5)])
    sketch.put(operator.outputs[0], "Mul", [half, sketch.node("Add", [bent, number(1.0)])], second=second)


def softmax(sketch: Sketch, operator: Operator) -> None:
    """SOFTMAX along the last axis, of `beta` times the input."""
    beta = float(sketch.options(operator, "SoftmaxOptions").beta)
    second = runs_second(sketch, operator)
    name = operand(sketch, operator.inputs[0], second=second)
    if beta != 1.0:
        name = sketch.node("Mul", [name, sketch.fixed(np.float32(beta), "beta")])
    sketch.put(operator.outputs[0], "Softmax", [name], second=second, axis=1 if second else -1)


def log_softmax(sketch: Sketch, operator: Operator) -> None:
    """LOG_SOFTMAX along the last axis."""
    sketch.put(operator.outputs[0], "LogSoftmax", [sketch.last(operator.inputs[0])], axis=-1)


def l2_normalization(sketch: Sketch, operator: Operator) -> None:
    """L2_NORMALIZATION along the last axis."""
    sketch.options(operator, "L2NormOptions")
    sketch.put(operator.outputs[0], "LpNormalization", [sketch.last(operator.inputs[0])], axis=-1, p=2)


def added(sketch: Sketch, operator: Operator) -> None:
    """ADD_N: all inputs, of one shape."""
    second = runs_second(sketch, operator)
    name, *others = (operand(sketch, index, second=second) for index in operator.inputs)
    for other in others[:-1]:
        name = sketch.node("Add", [name, other])
    op_type = "Add" if others else "Identity"
    sketch.put(operator.outputs[0], op_type, [name, *others[-1:]], second=second)


def local_response(sketch: Sketch, operator: Operator) -> None:
    """LOCAL_RESPONSE_NORMALIZATION: each channel by the squares of its neighbours; ONNX divides their sum by their number."""
    options = sketch.options(operator, "LocalResponseNormalizationOptions")
    size = 2 * int(options.radius) + 1
    constants = {"alpha": float(options.alpha) * size, "beta": float(options.beta), "bias": float(options.bias), "size": size}
    sketch.put(operator.outputs[0], "LRN", [sketch.second(operator.inputs[0])], second=True, **constants)
