"""Lowers arithmetic on two operands, sums and means along axes, and what they make up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from compiler.lower.tflite.build import Build, kernel_of
from compiler.lower.tflite.ir import Constant, Padding, Tensor, constant, index
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import Order, View, as_is, channels_last
from compiler.quantize.plan import Activation, weights_of

Lower = Callable[[Node, Build], None]


def binary(kind: Kind) -> Lower:
    """Return the lowering of an operator on two operands that TFLite has as well."""

    def lower(node: Node, build: Build) -> None:
        operands, order = aligned(build, node.inputs)
        sources = [build.before_reshape(tensor) for tensor in operands]
        if not _is_channelwise(sources, operands):
            build.finish(node, kind, operands, order)
            return
        # A bias, or a factor, of a layer whose result was reshaped: done before, it can be fused into the layer.
        shape = np.broadcast_shapes(*(source.shape for source in sources))
        memory = np.broadcast_shapes(*(tensor.shape for tensor in operands))
        made = build.emit(kind, sources, shape, node.outputs[0])
        build.bind(node.outputs[0], View(build.emit_reshape(made, memory), order))

    return lower


def _is_channelwise(sources: list[Tensor], operands: list[Tensor]) -> bool:
    """Say whether a row of constants meets the same last axis before a reshape as after it."""
    rows = [tensor for tensor in sources if isinstance(tensor, Constant) and len(tensor.shape) == 1]
    return (
        len(rows) == 1
        and len(sources) == 2
        and all(before.shape[-1] == after.shape[-1] for before, after in zip(sources, operands, strict=True))
    )


def extremum(kind: Kind) -> Lower:
    """Return the lowering of Max or Min, of one operand or more: two at a time."""

    def lower(node: Node, build: Build) -> None:
        (first, *others), order = aligned(build, node.inputs)
        if not others:
            build.bind(node.outputs[0], build.view(node.inputs[0]))
            return
        for other in others[:-1]:
            shape = np.broadcast_shapes(first.shape, other.shape)
            first = build.emit(kind, [first, other], shape, node.outputs[0])
        build.finish(node, kind, [first, others[-1]], order)

    return lower


def total(node: Node, build: Build) -> None:
    """Lower Sum, of one operand or more: two at a time."""
    (first, *others), order = aligned(build, node.inputs)
    if not others:
        build.bind(node.outputs[0], build.view(node.inputs[0]))
        return
    for other in others[:-1]:
        first = build.emit(Kind.ADD, [first, other], np.broadcast_shapes(first.shape, other.shape), _sum_of(first, other))
    build.finish(node, Kind.ADD, [first, others[-1]], order)


def divide(node: Node, build: Build) -> None:
    """Lower Div: by a constant to MUL with its reciprocal, which has an integer form; else to DIV, which has none."""
    divisor = build.known(node.inputs[1])
    if divisor is None:
        binary(Kind.DIV)(node, build)
        return
    if np.any(divisor == 0):
        raise node.refusal("a divisor that is zero")
    name = f"{node.inputs[1]}:reciprocal"
    build.bind(name, View(constant(name, 1 / divisor.astype(np.float64)), as_is(divisor.ndim)))
    operands, order = aligned(build, [node.inputs[0], name])
    build.finish(node, Kind.MUL, operands, order)


def power(node: Node, build: Build) -> None:
    """Lower Pow: a square to MUL, which has an integer form; else to POW, which has none."""
    exponent = build.known(node.inputs[1])
    if exponent is not None and np.all(exponent == 2) and exponent.size == 1:
        view = build.view(node.inputs[0])
        build.finish(node, Kind.MUL, [view.tensor, view.tensor], view.order)
        return
    binary(Kind.POW)(node, build)


def scaled_by(factor: float) -> Lower:
    """Return the lowering of an operator that is a product with a number: exact, as one number is exact in any form."""

    def lower(node: Node, build: Build) -> None:
        view = build.view(node.inputs[0])
        build.finish(node, Kind.MUL, [view.tensor, constant("factor", [factor])], view.order)

    return lower


def batch_normalization(node: Node, build: Build) -> None:
    """Lower what could not be folded: a convolution of one element for each channel, whose integers hold the factors exactly."""
    known = [build.known(name) for name in node.inputs[1:5]]
    scale, shift, mean, variance = (np.asarray(values, np.float64) for values in known if values is not None)
    factors = (scale / np.sqrt(variance + node.real("epsilon", 1e-5))).astype(np.float32).reshape(1, 1, 1, -1)
    offsets = shift - mean * factors.ravel()
    view = build.view(node.inputs[0])
    order = channels_last(len(view.order))
    tensor = build.arranged(view, order)
    batch, *inner, channels = tensor.shape
    image = tensor if len(inner) == 2 else build.emit_reshape(tensor, (batch, 1, math.prod(inner), channels))
    weights = kernel_of("factors", factors, weights_of(factors, 3))
    options = {"padding": Padding.VALID, "strideH": 1, "strideW": 1, "depthMultiplier": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    inputs = [image, weights, constant("offsets", offsets)]
    made = build.emit(Kind.DEPTHWISE_CONV_2D, inputs, image.shape, node.outputs[0], options)
    build.bind(node.outputs[0], View(build.emit_reshape(made, tensor.shape), order))


def reduce(kind: Kind) -> Lower:
    """Return the lowering of a reduction; its axes are an attribute, or since opset 13 and 18 a constant input."""

    def lower(node: Node, build: Build) -> None:
        view = build.view(node.inputs[0])
        axes = _axes(node, build, len(view.order))
        if not axes:
            build.bind(node.outputs[0], view)
            return
        places = sorted(view.order.index(axis) for axis in axes)
        keeps = node.integer("keepdims", 1) == 1
        order = view.order if keeps else _without(view.order, axes)
        build.finish(node, kind, [view.tensor, index("axes", places)], order, {"keepDims": keeps})

    return lower


def reduce_of(before: Callable[[Build, Tensor], Tensor] | None, after: Kind | None = None) -> Lower:
    """Return the lowering of a sum along axes of something computed of each element, of which something may be computed in turn."""

    def lower(node: Node, build: Build) -> None:
        view, keeps = build.view(node.inputs[0]), node.integer("keepdims", 1) == 1
        axes = _axes(node, build, len(view.order))
        places = sorted(view.order.index(axis) for axis in axes)
        order = view.order if keeps else _without(view.order, axes)
        result = build.shape(node, node.outputs[0])
        shape = tuple(result[axis] for axis in order)
        source = view.tensor if before is None else before(build, view.tensor)
        meaning = node.outputs[0] if after is None else None
        made = build.emit(Kind.SUM, [source, index("axes", places)], shape, meaning, {"keepDims": keeps})
        last = made if after is None else build.emit(after, [made], shape, node.outputs[0])
        build.bind(node.outputs[0], View(last, order))

    return lower


def squares(build: Build, tensor: Tensor) -> Tensor:
    """Return each element times itself."""
    return build.emit(Kind.MUL, [tensor, tensor], tensor.shape, None)


def magnitudes(build: Build, tensor: Tensor) -> Tensor:
    """Return each element without its sign."""
    return build.emit(Kind.ABS, [tensor], tensor.shape, None)


def _axes(node: Node, build: Build, rank: int) -> set[int]:
    """Return the axes that a reduction takes away; none where it is asked to do nothing."""
    given = build.known(node.input(1)) if node.input(1) else np.asarray(node.integers("axes", ()))
    if given is None:
        raise node.refusal("axes that are computed, not constant")
    if given.size == 0:
        return set() if node.integer("noop_with_empty_axes", 0) == 1 else set(range(rank))
    return {int(axis) % rank for axis in given.ravel()}


def _sum_of(first: Tensor, second: Tensor) -> Activation | None:
    """Return what is known of a partial sum, which the plan does not list."""
    spans = [_span_of(first), _span_of(second)]
    known = [span for span in spans if span is not None]
    if len(known) < len(spans):
        return None
    return Activation(low=sum(span.low for span in known), high=sum(span.high for span in known), calibrator="derived")


def _span_of(tensor: Tensor) -> Activation | None:
    """Return what is known of a tensor's values; all is known of a constant's."""
    if isinstance(tensor, Constant):
        return Activation(low=float(tensor.values.min()), high=float(tensor.values.max()), calibrator="constant")
    return tensor.span


def aligned(build: Build, names: Sequence[str]) -> tuple[list[Tensor], Order]:
    """Return operands that broadcast against each other in memory as they do in ONNX, and the order they lie in.

    The largest computed operand keeps its order; constants lose leading axes of length 1, which TFLite puts back.
    """
    views = [build.view(name) for name in names]
    rank = max(len(view.order) for view in views)
    leader = max(views, key=lambda view: (not isinstance(view.tensor, Constant), len(view.order), np.prod(view.shape)))
    order = _lifted(build, leader, rank).order
    return [_slim(build.arranged(_lifted(build, view, rank), order)) for view in views], order


def _lifted(build: Build, view: View, rank: int) -> View:
    if len(view.order) == rank:
        return view
    lifted = build.reshaped(view, (1,) * (rank - len(view.order)) + view.shape)
    assert lifted is not None  # leading axes of length 1 move nothing
    return lifted


def _slim(tensor: Tensor) -> Tensor:
    if not isinstance(tensor, Constant):
        return tensor
    kept = next((axis for axis, size in enumerate(tensor.shape) if size != 1), len(tensor.shape) - 1)
    return constant(tensor.name, tensor.values.reshape(tensor.shape[max(kept, 0) :] or (1,)))


def _without(order: Order, axes: set[int]) -> Order:
    """Return the order of the axes that are left, numbered anew."""
    left = [axis for axis in order if axis not in axes]
    return tuple(sorted(left).index(axis) for axis in left)
