"""Lowers comparisons, what follows from their truth values, and the choice between two tensors by them."""

from __future__ import annotations

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Array, Tensor, Whole, constant
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.ops_math import Lower, aligned
from compiler.lower.tflite.view import View, as_is


def comparison(kind: Kind) -> Lower:
    """Return the lowering of a comparison of real numbers; what comes of it lies in ONNX's own order of axes."""

    def lower(node: Node, build: Build) -> None:
        shape = build.shape(node, node.outputs[0])
        operands = [_in_order(build, _as_real(build, name), len(shape)) for name in node.inputs]
        build.emit_whole(kind, operands, shape, "bool", node.outputs[0])

    return lower


def logical(kind: Kind) -> Lower:
    """Return the lowering of an operator on truth values."""

    def lower(node: Node, build: Build) -> None:
        operands = [_truth(node, build, name) for name in node.inputs]
        build.emit_whole(kind, operands, build.shape(node, node.outputs[0]), "bool", node.outputs[0])

    return lower


def where(node: Node, build: Build) -> None:
    """Lower Where: by a mask that is computed to SELECT_V2, by a constant one to the sum of what it chooses on either side."""
    mask = build.known(node.inputs[0])
    if mask is None:
        _chosen(node, build)
        return
    sides = [_side(node, build, place, chosen) for place, chosen in ((1, mask.astype(bool)), (2, ~mask.astype(bool)))]
    operands, order = aligned(build, sides)
    build.finish(node, Kind.ADD, operands, order)


def _side(node: Node, build: Build, place: int, chosen: Array) -> str:
    """Name a tensor that is one of the node's inputs where it is chosen, and 0 elsewhere."""
    source, name = node.inputs[place], f"{node.outputs[0]}:side{place}"
    known = build.known(source)
    values = chosen.astype(np.float32) if known is None else np.where(chosen, known.astype(np.float32), np.float32(0))
    build.bind(name, View(constant(name, values), as_is(values.ndim)))
    if known is None:
        operands, order = aligned(build, [source, name])
        shape = np.broadcast_shapes(*(tensor.shape for tensor in operands))
        build.bind(name, View(build.emit(Kind.MUL, operands, shape, operands[0].span), order))
    return name


def _chosen(node: Node, build: Build) -> None:
    rank = len(build.shape(node, node.outputs[0]))
    condition = _truth(node, build, node.inputs[0])
    operands = [condition, *(_in_order(build, name, rank) for name in node.inputs[1:])]
    build.finish(node, Kind.SELECT_V2, operands, as_is(rank))


def _truth(node: Node, build: Build, name: str) -> Whole:
    found = build.whole(name)
    if found is None or found.element != "bool":
        raise node.refusal(f"truth values {name} that no comparison here gives", "write them as comparisons of real numbers")
    return found


def _as_real(build: Build, name: str) -> str:
    """Return whole numbers as real ones, which up to 2^24 are exact."""
    numbers = build.whole(name)
    if numbers is None or numbers.element == "bool":
        return name
    real = f"{name}:real"
    build.bind(real, View(build.emit(Kind.CAST, [numbers], numbers.shape, None), as_is(len(numbers.shape))))
    return real


def _in_order(build: Build, name: str, rank: int) -> Tensor:
    view = build.view(name)
    lifted = build.reshaped(view, (1,) * (rank - len(view.order)) + view.shape)
    assert lifted is not None  # leading axes of length 1 move nothing
    return build.arranged(lifted, as_is(rank))
