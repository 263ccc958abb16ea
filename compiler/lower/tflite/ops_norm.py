"""Lowers normalizations to means, products and reciprocal roots; without integer forms of their own they compute in float."""

from __future__ import annotations

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Array, Constant, Shape, Tensor, constant, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import Order, View, channels_last


def layer_normalization(node: Node, build: Build) -> None:
    """Lower LayerNormalization over the last axes, from `axis` on."""
    view = build.view(node.inputs[0])
    rank = len(view.order)
    axes = range(node.axis(rank, -1), rank)
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        raise node.refusal("its further outputs, mean and deviation")
    places = sorted(view.order.index(axis) for axis in axes)
    made = _normalized(build, view.tensor, places, node.real("epsilon", 1e-5))
    _scaled(node, build, View(made, view.order), (1,) * axes.start + view.shape[axes.start :])


def rms_normalization(node: Node, build: Build) -> None:
    """Lower RMSNormalization: as LayerNormalization, but around zero."""
    view = build.view(node.inputs[0])
    axes = range(node.axis(len(view.order), -1), len(view.order))
    places = sorted(view.order.index(axis) for axis in axes)
    made = _shortened(build, view.tensor, places, node.real("epsilon", 1e-5))
    _scaled(node, build, View(made, view.order), (1,) * axes.start + view.shape[axes.start :])


def instance_normalization(node: Node, build: Build) -> None:
    """Lower InstanceNormalization: each channel of each image by itself."""
    view = build.view(node.inputs[0])
    rank = len(view.order)
    order = view.order if rank < 3 else channels_last(rank)
    tensor = build.arranged(view, order)
    places = sorted(order.index(axis) for axis in range(2, rank))
    made = _normalized(build, tensor, places, node.real("epsilon", 1e-5))
    _scaled(node, build, View(made, order), (1, view.shape[1], *[1] * (rank - 2)))


def lp_normalization(node: Node, build: Build) -> None:
    """Lower LpNormalization with p 2 to a division by the length, and with p 1 to one by the sum of magnitudes."""
    view = build.view(node.inputs[0])
    place = view.order.index(node.axis(len(view.order), -1))
    tensor = view.tensor
    is_square = node.integer("p", 2) == 2
    powers = build.emit(Kind.MUL, [tensor, tensor], tensor.shape, None) if is_square else build.emit(Kind.ABS, [tensor], tensor.shape, None)
    total = build.emit(Kind.SUM, [powers, index("axes", [place])], _reduced(tensor.shape, [place]), None, {"keepDims": True})
    length = build.emit(Kind.SQRT, [total], total.shape, None) if is_square else total
    build.finish(node, Kind.DIV, [tensor, length], view.order)


def local_response_normalization(node: Node, build: Build) -> None:
    """Lower LRN to TFLite's operator of that name; ONNX divides alpha by the number of channels that it sums."""
    size = node.integer("size", 1)
    if size % 2 == 0:
        raise node.refusal(f"an even number of channels, {size}", "use an odd size")
    order = channels_last(4)
    if len(build.shape(node, node.inputs[0])) != 4:
        raise node.refusal("a tensor that is no image")
    image = build.arranged(build.view(node.inputs[0]), order)
    options = {
        "radius": size // 2,
        "bias": node.real("bias", 1.0),
        "alpha": node.real("alpha", 1e-4) / size,
        "beta": node.real("beta", 0.75),
    }
    build.finish(node, Kind.LOCAL_RESPONSE_NORMALIZATION, [image], order, options)


def _normalized(build: Build, tensor: Tensor, places: list[int], epsilon: float) -> Tensor:
    """Return (x - mean) / sqrt(variance + epsilon) along some axes of memory."""
    mean = build.emit(Kind.MEAN, [tensor, index("axes", places)], _reduced(tensor.shape, places), None, {"keepDims": True})
    return _shortened(build, build.emit(Kind.SUB, [tensor, mean], tensor.shape, None), places, epsilon)


def _shortened(build: Build, tensor: Tensor, places: list[int], epsilon: float) -> Tensor:
    """Return x / sqrt(mean of squares + epsilon) along some axes of memory."""
    squares = build.emit(Kind.MUL, [tensor, tensor], tensor.shape, None)
    small = _reduced(tensor.shape, places)
    variance = build.emit(Kind.MEAN, [squares, index("axes", places)], small, None, {"keepDims": True})
    kept = build.emit(Kind.ADD, [variance, constant("epsilon", [epsilon])], small, None)
    return build.emit(Kind.MUL, [tensor, build.emit(Kind.RSQRT, [kept], small, None)], tensor.shape, None)


def _scaled(node: Node, build: Build, view: View, shape: Shape) -> None:
    """Multiply by the node's second input and add its third; `shape` is theirs beside the tensor, in ONNX's order of axes."""
    tensor, name = view.tensor, node.outputs[0]
    for kind, place in ((Kind.MUL, 1), (Kind.ADD, 2)):
        if node.input(place):
            operand = _operand(node, build, place)
            is_last = place == 2 or not node.input(2)
            arranged = _in_memory(operand, shape, view.order)
            tensor = build.emit(kind, [tensor, arranged], tensor.shape, name if is_last else None)
    build.bind(name, View(tensor, view.order))


def _operand(node: Node, build: Build, place: int) -> Array:
    values = build.known(node.input(place))
    if values is None:
        raise node.refusal("a scale or bias that is computed, not constant")
    return values.ravel()


def _in_memory(values: Array, shape: Shape, order: Order) -> Constant:
    size = int(np.prod(shape))
    full = np.broadcast_to(values, (size,)) if values.size == 1 else values
    return constant("factors", full.reshape(shape).transpose(order))


def _reduced(shape: Shape, places: list[int]) -> Shape:
    return tuple(1 if place in places else size for place, size in enumerate(shape))
