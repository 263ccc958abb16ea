"""Brings tensors into the form that TFLite's image operators take, NHWC with two dimensions, and the results back."""

from __future__ import annotations

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Constant, Shape, Tensor, constant, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import View, channels_last
from compiler.lower.tflite.window import Window

# What maxima are padded with: no window holds padding alone, so it is never seen.
LOWEST = float(np.finfo(np.float32).min)


def as_image(build: Build, view: View) -> Tensor:
    """Return [N, H, W, C]; a row [N, C, L] becomes an image of height 1."""
    tensor = build.arranged(view, channels_last(len(view.order)))
    if len(tensor.shape) == 4:
        return tensor
    batch, length, channels = tensor.shape
    return build.emit_reshape(tensor, (batch, 1, length, channels))


def bind_image(build: Build, node: Node, image: Tensor) -> None:
    """Say that a node's output is this image, or this row where ONNX has one dimension only."""
    result = build.shape(node, node.outputs[0])
    order = channels_last(len(result))
    build.bind(node.outputs[0], View(build.emit_reshape(image, tuple(result[axis] for axis in order)), order))


def padded(build: Build, image: Tensor, window: Window, filler: float = 0.0) -> Tensor:
    """Return the image with a border of `filler` that is as wide as the window reaches."""
    margins = [(window.begins[axis], max(window.end(axis), 0)) for axis in (0, 1)]
    if margins == [(0, 0), (0, 0)]:
        return image
    batch, height, width, channels = image.shape
    shape = (batch, height + sum(margins[0]), width + sum(margins[1]), channels)
    inputs: list[Tensor] = [image, index("margins", [(0, 0), *margins, (0, 0)])]
    if filler == 0:
        return build.emit(Kind.PAD, inputs, shape, image.span)
    return build.emit(Kind.PADV2, [*inputs, constant("filler", [filler])], shape, image.span)


def image_parts(build: Build, image: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return the channels in `count` equal parts."""
    if count == 1:
        return (image,)
    shape = (*image.shape[:-1], image.shape[-1] // count)
    return build.emit_all(Kind.SPLIT, [index("axis", 3), image], [(shape, image.span)] * count, {"numSplits": count})


def joined(build: Build, parts: list[Tensor], named: str) -> Tensor:
    """Return the parts side by side along the channels."""
    if len(parts) == 1:
        return parts[0]
    shape: Shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
    return build.emit(Kind.CONCATENATION, parts, shape, named, {"axis": 3})


def part_of(bias: Constant, chosen: slice) -> Constant:
    """Return some of a bias."""
    return constant(bias.name, bias.values[chosen])
