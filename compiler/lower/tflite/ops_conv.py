"""Lowers Conv and ConvTranspose: plain, depthwise and grouped, of images and of rows."""

from __future__ import annotations

from functools import partial

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.images import as_image, bind_image, image_parts, joined, padded, part_of
from compiler.lower.tflite.ir import Array, Kernel, Padding, Tensor, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.window import Window, window_of


def conv(node: Node, build: Build) -> None:
    """Lower Conv to CONV_2D or DEPTHWISE_CONV_2D; other groups to a convolution for each, between SPLIT and CONCATENATION."""
    kernel, shape, result = build.kernel(node, node.input(1), 0), build.shape(node, node.input(0)), build.shape(node, node.outputs[0])
    window = window_of(node, shape[2:], result[2:], kernel.shape[2:])
    image, window = _padded_for(build, as_image(build, build.view(node.input(0))), window)
    bias, group, name = build.bias(node.input(2), kernel.shape[0]), node.integer("group", 1), node.outputs[0]
    if group > 1 and group == shape[1]:
        weights = kernel.moved(_depthwise, axis=3)
        made = _convolved(build, Kind.DEPTHWISE_CONV_2D, [image, weights, bias], window, name)
    else:
        weights = kernel.moved(_output_first, axis=0)
        parts = []
        for part, chosen in zip(image_parts(build, image, group), _slices(kernel.shape[0], group), strict=True):
            parts.append(_convolved(build, Kind.CONV_2D, [part, weights.part(chosen), part_of(bias, chosen)], window, name))
        made = joined(build, parts, name)
    bind_image(build, node, made)


def conv_transpose(node: Node, build: Build) -> None:
    """Lower ConvTranspose to TRANSPOSE_CONV, and cut off or add what its two paddings cannot say."""
    kernel, shape, result = build.kernel(node, node.input(1), 1), build.shape(node, node.input(0)), build.shape(node, node.outputs[0])
    # Its windows lie over the larger image: what a convolution puts out is what goes in here.
    window = window_of(node, result[2:], shape[2:], kernel.shape[2:])
    if window.dilations != (1, 1):
        raise node.refusal(f"dilations {window.dilations} of a transposed convolution")
    group, name = node.integer("group", 1), node.outputs[0]
    bias, parts = build.bias(node.input(2), kernel.shape[1] * group), []
    image_groups = image_parts(build, as_image(build, build.view(node.input(0))), group)
    for part, taken, given in zip(image_groups, _slices(shape[1], group), _slices(len(bias.values), group), strict=True):
        weights = kernel.moved(partial(_transposed_part, taken=taken), axis=0)
        parts.append(_upsampled(build, [weights, part, part_of(bias, given)], window, name))
    bind_image(build, node, joined(build, parts, name))


def _padded_for(build: Build, image: Tensor, window: Window) -> tuple[Tensor, Window]:
    """Return an image whose padding TFLite has a word for, and the window over it."""
    if window.padding is not None:
        return image, window
    return padded(build, image, window), window.over_padded()


def _convolved(build: Build, kind: Kind, inputs: list[Tensor], window: Window, name: str) -> Tensor:
    image, weights = inputs[0], inputs[1]
    assert isinstance(weights, Kernel)
    channels = weights.shape[weights.axis]
    options = {**_options(window), "dilationHFactor": window.dilations[0], "dilationWFactor": window.dilations[1]}
    if kind is Kind.DEPTHWISE_CONV_2D:
        options["depthMultiplier"] = channels // image.shape[3]
    return build.emit(kind, inputs, (image.shape[0], *window.outputs, channels), name, options)


def _upsampled(build: Build, inputs: list[Tensor], window: Window, name: str) -> Tensor:
    """Emit TRANSPOSE_CONV. Without padding it fills all that the windows reach, of which ONNX wants a part, or more at the end."""
    weights, image = inputs[0], inputs[1]
    batch, channels = image.shape[0], weights.shape[0]
    wanted = (batch, *window.sizes, channels)
    if window.padding is not None:
        return build.emit(Kind.TRANSPOSE_CONV, [index("shape", wanted), *inputs], wanted, name, _options(window))
    reached = [window.sizes[axis] + window.begins[axis] + window.end(axis) for axis in (0, 1)]
    full = (batch, *(max(reached[axis], window.begins[axis] + window.sizes[axis]) for axis in (0, 1)), channels)
    made = build.emit(Kind.TRANSPOSE_CONV, [index("shape", full), *inputs], full, name, {**_strides(window), "padding": Padding.VALID})
    begin = index("begin", (0, *window.begins, 0))
    return build.emit(Kind.SLICE, [made, begin, index("size", wanted)], wanted, name)


def _strides(window: Window) -> dict[str, int]:
    return {"strideH": window.strides[0], "strideW": window.strides[1]}


def _options(window: Window) -> dict[str, int]:
    assert window.padding is not None
    return {**_strides(window), "padding": window.padding}


def _slices(count: int, parts: int) -> list[slice]:
    each = count // parts
    return [slice(place * each, (place + 1) * each) for place in range(parts)]


def _output_first(array: Array) -> Array:
    """[O, I, H, W], or [O, I, L], to [O, H, W, I]."""
    return np.transpose(_two_dimensional(array), (0, 2, 3, 1))


def _depthwise(array: Array) -> Array:
    """[C * multiplier, 1, H, W], or [C * multiplier, 1, L], to [1, H, W, C * multiplier]."""
    return np.transpose(_two_dimensional(array), (1, 2, 3, 0))


def _transposed_part(array: Array, taken: slice) -> Array:
    """The inputs `taken` of [I, O, H, W], or [I, O, L], as [O, H, W, I]."""
    return _output_first(array[taken].swapaxes(0, 1))


def _two_dimensional(array: Array) -> Array:
    wide: Array = array if array.ndim == 4 else array[:, :, None, :]
    return wide
