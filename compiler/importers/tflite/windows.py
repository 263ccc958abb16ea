"""Draws what slides a window over an image, and dense layers: convolutions, pools, FULLY_CONNECTED."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.importers.tflite.arithmetic import put_activated
from compiler.importers.tflite.flatbuffer import Array, Operator
from compiler.importers.tflite.sketch import Sketch

VALID = 1  # schema.fbs, Padding


def conv(sketch: Sketch, operator: Operator) -> None:
    """CONV_2D: weights [out, height, width, in]; fewer input channels than the image's mean groups."""
    options = sketch.options(operator, "Conv2DOptions")
    weights = _weights(sketch, operator, 1)
    groups, rest = divmod(_image(sketch, operator, operator.inputs[0])[3], weights.shape[3])
    if rest or not groups:
        sketch.refuse(operator, "channels that the weights divide", f"weights of shape {list(weights.shape)}")
    _convolve(sketch, operator, weights.transpose(0, 3, 1, 2), groups, options)


def depthwise(sketch: Sketch, operator: Operator) -> None:
    """DEPTHWISE_CONV_2D: weights [1, height, width, out], one group for each channel."""
    options = sketch.options(operator, "DepthwiseConv2DOptions")
    weights = _weights(sketch, operator, 1)
    _convolve(sketch, operator, weights.transpose(3, 0, 1, 2), _image(sketch, operator, operator.inputs[0])[3], options)


def _convolve(sketch: Sketch, operator: Operator, weights: Array, groups: int, options: Any) -> None:
    height, width = weights.shape[2:]
    dilations = [options.dilationHFactor, options.dilationWFactor]
    spans = [(height - 1) * dilations[0] + 1, (width - 1) * dilations[1] + 1]
    inputs = [sketch.second(operator.inputs[0]), sketch.fixed(weights, sketch.tensor(operator.inputs[1]).name)]
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        inputs.append(sketch.last(operator.inputs[2]))
    window: dict[str, Any] = {
        "kernel_shape": [height, width],
        "dilations": dilations,
        "group": groups,
        **_window(sketch, operator, options, spans),
    }
    put_activated(sketch, operator, options.fusedActivationFunction, "Conv", inputs, second=True, **window)


def transposed_conv(sketch: Sketch, operator: Operator) -> None:
    """TRANSPOSE_CONV: inputs are the output's shape, weights [out, height, width, in], image and perhaps a bias."""
    options = sketch.options(operator, "TransposeConvOptions")
    weights = _weights(sketch, operator, 1)
    source, result = _image(sketch, operator, operator.inputs[2]), _image(sketch, operator, operator.outputs[0])
    strides, kernel = [options.strideH, options.strideW], list(weights.shape[1:3])
    pads, extra = [], []
    for axis in (0, 1):
        full = (source[axis + 1] - 1) * strides[axis] + kernel[axis]
        over = max(full - result[axis + 1], 0)
        pads.append((over // 2, over - over // 2))
        extra.append(max(result[axis + 1] - full, 0))
    inputs = [sketch.second(operator.inputs[2]), sketch.fixed(weights.transpose(3, 0, 1, 2), sketch.tensor(operator.inputs[1]).name)]
    if len(operator.inputs) > 3 and operator.inputs[3] >= 0:
        inputs.append(sketch.last(operator.inputs[3]))
    window: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": strides,
        "output_padding": extra,
        "pads": [pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
    }
    put_activated(sketch, operator, options.fusedActivationFunction, "ConvTranspose", inputs, second=True, **window)


def average_pool(sketch: Sketch, operator: Operator) -> None:
    """AVERAGE_POOL_2D: what lies in the padding does not count."""
    _pool(sketch, operator, "AveragePool", {"count_include_pad": 0})


def max_pool(sketch: Sketch, operator: Operator) -> None:
    """MAX_POOL_2D."""
    _pool(sketch, operator, "MaxPool", {})


def _pool(sketch: Sketch, operator: Operator, op_type: str, more: dict[str, Any]) -> None:
    options = sketch.options(operator, "Pool2DOptions")
    kernel = [options.filterHeight, options.filterWidth]
    window = {"kernel_shape": kernel, **_window(sketch, operator, options, kernel), **more}
    inputs = [sketch.second(operator.inputs[0])]
    put_activated(sketch, operator, options.fusedActivationFunction, op_type, inputs, second=True, **window)


def fully_connected(sketch: Sketch, operator: Operator) -> None:
    """FULLY_CONNECTED: weights [out, in]; every axis of the input but the last may be a batch."""
    options = sketch.options(operator, "FullyConnectedOptions")
    weights, result = sketch.tensor(operator.inputs[1]).shape, sketch.tensor(operator.outputs[0]).shape
    if options.weightsFormat or len(weights) != 2:
        sketch.refuse(operator, "weights [out, in] in the default format", f"format {options.weightsFormat}, {list(weights)}")
    rows = sketch.last(operator.inputs[0])
    if len(sketch.tensor(operator.inputs[0]).shape) != 2 or sketch.tensor(operator.inputs[0]).shape[1] != weights[1]:
        rows = sketch.node("Reshape", [rows, sketch.fixed(np.array([-1, weights[1]]), "rows")])
    inputs = [rows, sketch.last(operator.inputs[1])]
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        inputs.append(sketch.last(operator.inputs[2]))
    if len(result) == 2:
        put_activated(sketch, operator, options.fusedActivationFunction, "Gemm", inputs, second=False, transB=1)
        return
    dense = sketch.node("Gemm", inputs, transB=1)
    shape = sketch.fixed(np.array(result, np.int64), "shape")
    put_activated(sketch, operator, options.fusedActivationFunction, "Reshape", [dense, shape], second=False)


def _weights(sketch: Sketch, operator: Operator, position: int) -> Array:
    weights = sketch.constant_of(operator, position, "of weights")
    if weights.ndim != 4:
        sketch.refuse(operator, "weights of four axes", f"shape {list(weights.shape)}")
    return weights


def _image(sketch: Sketch, operator: Operator, index: int) -> tuple[int, ...]:
    shape = sketch.tensor(index).shape
    if len(shape) != 4:
        sketch.refuse(operator, "an image [1, height, width, channels]", f"shape {list(shape)}")
    return shape


def _window(sketch: Sketch, operator: Operator, options: Any, spans: list[int]) -> dict[str, list[int]]:
    """Return strides, and pads [top, left, bottom, right]: SAME keeps ceil(size / stride) places, the odd pad last."""
    strides = [options.strideH, options.strideW]
    sizes = _image(sketch, operator, operator.inputs[0])[1:3]
    if min(*strides, *spans) < 1:
        sketch.refuse(operator, "strides and a window from 1", f"{strides} and {spans}")
    if options.padding == VALID:
        return {"strides": strides, "pads": [0, 0, 0, 0]}
    needed = [max((-(-size // stride) - 1) * stride + span - size, 0) for size, stride, span in zip(sizes, strides, spans, strict=True)]
    before = [pad // 2 for pad in needed]
    return {"strides": strides, "pads": [*before, *(pad - half for pad, half in zip(needed, before, strict=True))]}
