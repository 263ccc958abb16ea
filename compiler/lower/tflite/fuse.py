"""Lets an operator do what the next one would, a bias or an activation, and drops what nobody reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from compiler.lower.tflite.ir import Constant, Fused, Graph, Op, Tensor, constant
from compiler.lower.tflite.kinds import Kind
from compiler.quantize.plan import Precision

ACTIVATIONS = {Kind.RELU: Fused.RELU, Kind.RELU6: Fused.RELU6, Kind.RELU_N1_TO_1: Fused.RELU_N1_TO_1}
WEIGHTED = {Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED}
# Pools could as well, but not for the Edge TPU's compiler; TRANSPOSE_CONV could, but not in every runtime.
FUSING = {*WEIGHTED, Kind.ADD, Kind.SUB, Kind.MUL}

# Given an operator and the next one, its only reader: the two in one, or None.
Merge = Callable[[Op, Op], "Op | None"]


def fused(graph: Graph, precisions: Mapping[str, Precision]) -> Graph:
    """Return an equivalent graph with fewer operators; none takes over from one of another precision."""
    graph = _living(graph)
    for merge in (_bias, _activation):
        graph = _merged(graph, merge, precisions)
    return graph


def _living(graph: Graph) -> Graph:
    """Leave out what no output needs."""
    needed = {tensor for _, tensor in graph.outputs}
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            kept.append(op)
            needed.update(op.inputs)
    return replace(graph, ops=tuple(reversed(kept)))


def _merged(graph: Graph, merge: Merge, precisions: Mapping[str, Precision]) -> Graph:
    reads = Counter(tensor for op in graph.ops for tensor in op.inputs)
    reads.update(tensor for _, tensor in graph.outputs)
    made: dict[Tensor, Op] = {}
    kept: dict[Op, None] = {}  # a set that keeps its order
    for op in graph.ops:
        before = next((made[tensor] for tensor in op.inputs if tensor in made and reads[tensor] == 1), None)
        both = None
        if before is not None and precisions.get(before.node) == precisions.get(op.node):
            both = merge(before, op)
            if both is not None:
                del kept[before]
        kept[both or op] = None
        made.update(dict.fromkeys(op.outputs, both or op))
    return replace(graph, ops=tuple(kept))


def _bias(before: Op, op: Op) -> Op | None:
    """Take an addend with one number for each output channel into the bias."""
    addend = next((tensor for tensor in op.inputs if isinstance(tensor, Constant)), None)
    if op.kind is not Kind.ADD or before.kind not in WEIGHTED or addend is None:
        return None
    image, weights, bias = before.inputs
    assert isinstance(bias, Constant)
    if addend.shape not in {(1,), bias.shape} or op.outputs[0].shape != before.outputs[0].shape:
        return None
    return replace(before, inputs=(image, weights, constant(bias.name, bias.values + addend.values)), outputs=op.outputs)


def _activation(before: Op, op: Op) -> Op | None:
    if op.kind not in ACTIVATIONS or before.kind not in FUSING or "fusedActivationFunction" in before.options:
        return None
    return replace(before, outputs=op.outputs, options={**before.options, "fusedActivationFunction": ACTIVATIONS[op.kind]})
