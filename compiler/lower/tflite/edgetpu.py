"""Writes the graph in operators that an Edge TPU runs, where others say exactly the same; for other devices the shorter form is faster."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from compiler.edgetpu.limits import LARGEST_MAPPED_MEAN
from compiler.lower.tflite.images import LOWEST
from compiler.lower.tflite.ir import (
    NO_OPTIONS,
    Constant,
    Floats,
    Graph,
    Index,
    Kernel,
    Op,
    Options,
    Padding,
    Shape,
    Tensor,
    constant,
    index,
)
from compiler.lower.tflite.kinds import Kind
from compiler.quantize.plan import Activation

# Returns what takes an operator's place, the last of them with its outputs; None where it stays.
Rewrite = Callable[[Op], "list[Op] | None"]


def for_edge_tpu(graph: Graph) -> Graph:
    """Return an equivalent graph; what has no exact equivalent stays as it is."""
    graph = _without_lowest_padding(graph)
    ops: list[Op] = []
    for op in graph.ops:
        rewrite = REWRITES.get(op.kind)
        ops += (rewrite(op) if rewrite else None) or [op]
    return replace(graph, ops=tuple(ops))


def _hard_swish(op: Op) -> list[Op]:
    """x * (relu6(x + 3) / 6)."""
    (x,) = op.inputs
    shifted = _made(op, "shifted", x.shape, _moved(x.span, 3.0))
    clipped = _made(op, "clipped", x.shape, Activation(low=0, high=6, calibrator="fixed"))
    gate = _made(op, "gate", x.shape, Activation(low=0, high=1, calibrator="fixed"))
    return [
        _op(op, Kind.ADD, [x, constant("three", [3.0])], shifted),
        _op(op, Kind.RELU6, [shifted], clipped),
        _op(op, Kind.MUL, [clipped, constant("sixth", [1 / 6])], gate),
        _op(op, Kind.MUL, [x, gate], op.outputs[0]),
    ]


def _leaky_relu(op: Op) -> list[Op]:
    """The larger of x and slope * x, the smaller for slopes above 1; both lie in the result's range where they are chosen."""
    (x,), slope = op.inputs, float(op.options["alpha"])
    sloped = _made(op, "sloped", x.shape, op.outputs[0].span)
    kind = Kind.MAXIMUM if slope <= 1 else Kind.MINIMUM
    return [_op(op, Kind.MUL, [x, constant("slope", [slope])], sloped), _op(op, kind, [x, sloped], op.outputs[0])]


def _mean(op: Op) -> list[Op] | None:
    """One mean along each axis, where a mean along both is too large to map."""
    x, axes = op.inputs
    assert isinstance(axes, Index)
    places = [int(place) for place in axes.values.ravel()]
    if len(places) < 2 or math.prod(x.shape[place] for place in places) <= LARGEST_MAPPED_MEAN:
        return None
    first, *others = places
    shape = tuple(1 if place == first else size for place, size in enumerate(x.shape))
    partial = _made(op, "partial", shape, x.span)
    # Where the axes go, the one that is 1 by then goes together with the others.
    rest = index("axes", others if op.options["keepDims"] else places)
    return [
        _op(op, Kind.MEAN, [x, index("axes", [first])], partial, {"keepDims": True}),
        _op(op, Kind.MEAN, [partial, rest], op.outputs[0], op.options),
    ]


def _resize(op: Op) -> list[Op] | None:
    """Repeat the only pixel that there is; TILE is in no published list, but in a published compiled model."""
    image, (result,) = op.inputs[0], op.outputs
    if image.shape[1:3] != (1, 1) or result.shape[1:3] == (1, 1):
        return None
    return [_op(op, Kind.TILE, [image, index("multiples", [1, *result.shape[1:3], 1])], result)]


def _unequal_split(op: Op) -> list[Op]:
    """Cut each part out."""
    image, sizes, place = op.inputs
    assert isinstance(sizes, Index)
    assert isinstance(place, Index)
    axis, begin, ops = int(place.values.ravel()[0]), 0, []
    for size, part in zip(sizes.values.ravel(), op.outputs, strict=True):
        starts = [begin if each == axis else 0 for each in range(len(image.shape))]
        ops.append(_op(op, Kind.SLICE, [image, index("begin", starts), index("size", part.shape)], part))
        begin += int(size)
    return ops


def _rows(op: Op) -> list[Op] | None:
    """A dense layer of several rows is a convolution of one element over them."""
    matrix, weights, bias = op.inputs
    rows, channels = matrix.shape
    if rows == 1 or not isinstance(weights, Kernel):
        return None
    (result,) = op.outputs
    outputs = result.shape[1]
    image = _made(op, "rows", (1, 1, rows, channels), matrix.span)
    convolved = _made(op, "convolved", (1, 1, rows, outputs), result.span)
    kernel = weights.moved(lambda values: values.reshape(outputs, 1, 1, channels), axis=0)
    options = {"padding": Padding.VALID, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    return [
        _op(op, Kind.RESHAPE, [matrix, index("shape", image.shape)], image),
        _op(op, Kind.CONV_2D, [image, kernel, bias], convolved, options),
        _op(op, Kind.RESHAPE, [convolved, index("shape", result.shape)], result),
    ]


REWRITES: dict[Kind, Rewrite] = {
    Kind.FULLY_CONNECTED: _rows,
    Kind.HARD_SWISH: _hard_swish,
    Kind.LEAKY_RELU: _leaky_relu,
    Kind.MEAN: _mean,
    Kind.RESIZE_BILINEAR: _resize,
    Kind.RESIZE_NEAREST_NEIGHBOR: _resize,
    Kind.SPLIT_V: _unequal_split,
}


def _without_lowest_padding(graph: Graph) -> Graph:
    """Pad with zeros what goes into a maximum: where zero is not the lowest value, the image is lifted before and lowered behind."""
    readers: dict[Tensor, list[Op]] = defaultdict(list)
    for op in graph.ops:
        for tensor in op.inputs:
            readers[tensor].append(op)
    ops: dict[Op, list[Op]] = {op: [op] for op in graph.ops}
    outputs = {tensor for _, tensor in graph.outputs}
    for op in graph.ops:
        pools = readers[op.outputs[0]]
        if _is_lowest(op) and op.outputs[0] not in outputs and all(pool.kind is Kind.MAX_POOL_2D for pool in pools):
            _lift(op, pools, ops)
    return replace(graph, ops=tuple(new for op in graph.ops for new in ops[op]))


def _is_lowest(op: Op) -> bool:
    filler = op.inputs[-1]
    return op.kind is Kind.PADV2 and op.inputs[0].span is not None and isinstance(filler, Constant) and _is_no_value(filler.values)


def _is_no_value(values: Floats) -> bool:
    return bool(values.size == 1 and values.ravel()[0] <= np.float32(LOWEST))


def _lift(op: Op, pools: Sequence[Op], ops: dict[Op, list[Op]]) -> None:
    image, margins, _ = op.inputs
    (padded,) = op.outputs
    assert image.span is not None
    height = -min(image.span.low, 0.0)
    if height == 0:
        ops[op] = [_op(op, Kind.PAD, [image, margins], padded)]
        return
    span = _moved(image.span, height)
    lifted, lifted_padded = _made(op, "lifted", image.shape, span), _made(op, "padded", padded.shape, span)
    ops[op] = [
        _op(op, Kind.ADD, [image, constant("height", [height])], lifted),
        _op(op, Kind.PAD, [lifted, margins], lifted_padded),
    ]
    for pool in pools:
        (result,) = pool.outputs
        high = _made(pool, "high", result.shape, span)
        ops[pool] = [
            replace(pool, inputs=(lifted_padded,), outputs=(high,)),
            _op(pool, Kind.SUB, [high, constant("height", [height])], result),
        ]


def _op(source: Op, kind: Kind, inputs: Sequence[Tensor], output: Tensor, options: Options = NO_OPTIONS) -> Op:
    return Op(kind, tuple(inputs), (output,), options, source.node)


def _made(source: Op, what: str, shape: Shape, span: Activation | None) -> Tensor:
    return Tensor(f"{source.node}:{what}", shape, span)


def _moved(span: Activation | None, offset: float) -> Activation | None:
    return None if span is None else Activation(low=span.low + offset, high=span.high + offset, calibrator="derived")
