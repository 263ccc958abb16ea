"""Lowers Gemm and MatMul: to FULLY_CONNECTED with constant weights, else to BATCH_MATMUL."""

from __future__ import annotations

import math

import numpy as np

from compiler.lower.tflite.build import Build
from compiler.lower.tflite.ir import Kernel, Tensor, constant
from compiler.lower.tflite.kinds import Kind
from compiler.lower.tflite.node import Node
from compiler.lower.tflite.view import Fold, View, as_is


def gemm(node: Node, build: Build) -> None:
    """Lower alpha * A B + beta * C to FULLY_CONNECTED; B and C are constant."""
    is_transposed = node.integer("transB", 0) == 1
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if alpha <= 0:
        raise node.refusal(f"alpha {alpha}", "multiply the weights by it")
    weights = build.kernel(node, node.input(1), 0 if is_transposed else 1)
    if not is_transposed:
        weights = weights.moved(np.transpose, axis=0)
    view = build.raw_view(node.input(0))
    if node.integer("transA", 0) == 1:
        plain = build.view(node.input(0))
        view = View(build.arranged(plain, (1, 0)), as_is(2))
    bias = _bias(node, build, weights.shape[0], beta)
    _connect(node, build, view, [weights.scaled(alpha), bias])


def matmul(node: Node, build: Build) -> None:
    """Lower A B: constant matrices B to FULLY_CONNECTED along the last axis of A, all else to BATCH_MATMUL."""
    known = build.known(node.input(1))
    if known is not None and known.ndim == 2 and build.known(node.input(0)) is None and len(build.shape(node, node.input(0))) > 1:
        weights = build.kernel(node, node.input(1), 1).moved(np.transpose, axis=0)
        _connect(node, build, build.raw_view(node.input(0)), [weights, constant("bias", np.zeros(weights.shape[0]))])
        return
    shapes = [build.shape(node, name) for name in node.inputs]
    if min(len(shape) for shape in shapes) < 2:
        raise node.refusal(f"operands of shapes {[list(shape) for shape in shapes]}", "give both operands two axes or more")
    rank = max(len(shape) for shape in shapes)
    operands = []
    for name, shape in zip(node.inputs, shapes, strict=True):
        lifted = build.reshaped(build.view(name), (1,) * (rank - len(shape)) + shape)
        assert lifted is not None  # leading axes of length 1 move nothing
        operands.append(build.arranged(lifted, as_is(rank)))
    build.finish(node, Kind.BATCH_MATMUL, operands, as_is(rank))


def _bias(node: Node, build: Build, count: int, beta: float) -> Tensor:
    values = build.known(node.input(2)) if node.input(2) else np.zeros(1, np.float32)
    if values is None or values.size not in {1, count}:
        raise node.refusal("an addend C that is not one constant for each output", "use a separate Add")
    return constant(node.input(2) or "bias", np.broadcast_to(values.ravel() * np.float32(beta), (count,)))


def _connect(node: Node, build: Build, view: View, weights_and_bias: list[Tensor]) -> None:
    weights, bias = weights_and_bias
    assert isinstance(weights, Kernel)
    rank = len(view.order)
    if view.fold is not None:
        sequence = _sequence(view.fold)
        tensor, order = view.tensor, as_is(rank)
        weights = weights.moved(lambda array: array[:, sequence], axis=0)
    elif view.order[-1] == rank - 1:
        tensor, order = view.tensor, view.order
    else:
        tensor, order = build.arranged(view, as_is(rank)), as_is(rank)
    # Every runtime agrees on matrices; 2.14 gets int16 tensors of more axes wrong.
    matrix = build.emit_reshape(tensor, (math.prod(tensor.shape[:-1]), tensor.shape[-1]))
    made = build.emit(Kind.FULLY_CONNECTED, [matrix, weights, bias], (matrix.shape[0], weights.shape[0]), node.outputs[0])
    build.bind(node.outputs[0], View(build.emit_reshape(made, (*tensor.shape[:-1], weights.shape[0])), order))


def _sequence(fold: Fold) -> list[int]:
    """Return which ONNX element lies at each place of a folded axis."""
    places = np.arange(int(np.prod(fold.shape[1:]))).reshape(1, *fold.shape[1:])
    return [int(place) for place in places.transpose(fold.order).ravel()]
