"""Lowers to QDQ graphs for ONNX Runtime's CPU kernels: weights symmetric per output channel, activations with a zero point."""

from __future__ import annotations

import onnx

from compiler.graph.index import GraphIndex, attribute
from compiler.lower.kernels import as_kernels
from compiler.lower.qdq import Placement, Style, quantized
from compiler.quantize.plan import Activation, Plan
from compiler.quantize.planner import OPERATORS_WITH_OPERANDS, WEIGHTED
from compiler.quantize.ties import CLAMPS, PASSING, Ties, is_passing

# Operators that are done with integers where integers come in and a weighted operator wants them further on: elsewhere the kernels of
# floats are as fast, and rounding would only cost accuracy.
FOLLOWING = frozenset({*PASSING, "Add", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "ReduceMean", "Sigmoid"})
# All that integers may go through.
INTEGER = FOLLOWING | WEIGHTED | CLAMPS
# Their results may leave as floats, straight from the sums in 32 bits.
ENDS_IN_FLOAT = frozenset({"Gemm", "MatMul"})


def to_u8s8(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Lower for a general CPU: uint8 activations."""
    return quantized(model, plan, _Choice(model, plan).placement(), style(is_unsigned=True))


def to_s8s8(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Lower for Arm cores: int8 activations."""
    return quantized(model, plan, _Choice(model, plan).placement(), style(is_unsigned=False))


def simulated(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """Return the graph in which every tensor is rounded as LiteRT's integer kernels round it; to be run in float."""
    return as_kernels(quantized(model, plan, _Choice(model, plan, is_everything=True).placement(), style(is_unsigned=False)))


def style(*, is_unsigned: bool) -> Style:
    """Return how ONNX Runtime's integer kernels want numbers written."""
    return Style(Activation.asymmetric, is_unsigned, weights_are_float=False, biases_are_float=False)


class _Choice:
    """Decides which nodes of one graph are computed with integers."""

    def __init__(self, model: onnx.ModelProto, plan: Plan, *, is_everything: bool = False) -> None:
        self._model, self._plan, self._is_everything = model, plan, is_everything
        self._index = GraphIndex(model)
        self._ties = Ties(self._index)
        self._wanted = self._wanted_as_integers()
        self._dropped = {node.name for node in model.graph.node if self._is_redundant(node)}
        self._integer: set[str] = set()
        # Tensors that are written as integers.
        self._written: set[str] = set()

    def placement(self) -> Placement:
        """Go through the graph once, in its order."""
        dropped = self._dropped
        for node in self._model.graph.node:
            if self._is_integer(node) or node.name in dropped:
                self._integer.add(node.name)
                self._written |= {name for name in node.output if self._is_written(node, name)}
        reads = {
            (node.name, position)
            for node in self._model.graph.node
            if node.name not in dropped
            for position, name in enumerate(node.input)
            if self._is_read(node, position, name)
        }
        weighted = {name for name in self._integer if self._is_weighted(name)}
        return Placement(reads, weighted, self._written & self._index.outputs, dropped)

    def _is_integer(self, node: onnx.NodeProto) -> bool:
        if node.op_type in WEIGHTED:
            return self._is_product(node)
        if self._plan.precisions.get(node.name, "int8") != "int8" or not any(self._index.is_activation(name) for name in node.output):
            return False
        if self._is_everything:
            return True
        known = self._written | {value.name for value in self._model.graph.input}
        is_moved = is_passing(node) or node.op_type not in PASSING
        return node.op_type in FOLLOWING and is_moved and node.output[0] in self._wanted and not known.isdisjoint(node.input)

    def _is_product(self, node: onnx.NodeProto) -> bool:
        """Say whether a node multiplies integers: by weights that the plan has, or two activations."""
        if node.op_type not in WEIGHTED or self._plan.precisions.get(node.name, "int8") != "int8":
            return False
        return self._has_matrix(node) or (node.op_type == "MatMul" and self._index.is_activation(node.input[1]))

    def _has_matrix(self, node: onnx.NodeProto) -> bool:
        """Say whether the plan has a node's weights, in a form that kernels take: of MatMul a matrix, never a stack of them."""
        name = node.input[1]
        return name in self._plan.weights and (node.op_type != "MatMul" or self._index.constants[name].ndim == 2)

    def _wanted_as_integers(self) -> set[str]:
        """Return the tensors that a weighted operator reads as integers, directly or behind operators that follow."""
        wanted: set[str] = set()
        for node in reversed(self._model.graph.node):
            if self._is_product(node) or (node.op_type in FOLLOWING | CLAMPS and not wanted.isdisjoint(node.output)):
                wanted |= set(node.input)
        return wanted

    def _is_written(self, node: onnx.NodeProto, name: str) -> bool:
        """Say whether a node's result becomes integers at once; what goes into a dropped clamp does so behind it."""
        if not self._index.is_activation(name) or self._goes_on(name):
            return False
        return self._is_everything or node.op_type not in ENDS_IN_FLOAT or name in self._wanted

    def _is_read(self, node: onnx.NodeProto, position: int, name: str) -> bool:
        """Say whether a node reads integers: wherever they exist, or where its own kernel needs them."""
        if name in self._written:
            return True
        if node.name not in self._integer or (node.op_type in WEIGHTED and position > 1):
            return False
        is_operand = node.op_type in OPERATORS_WITH_OPERANDS and name in self._plan.activations
        return is_operand if name in self._index.constants else self._index.is_activation(name)

    def _goes_on(self, name: str) -> bool:
        """Say whether a tensor is the same as the next one, the clamp between them being dropped."""
        reader = self._index.only_reader(name)
        return reader is not None and reader.name in self._dropped

    def _is_weighted(self, name: str) -> bool:
        node = next(node for node in self._model.graph.node if node.name == name)
        return node.op_type in WEIGHTED and self._has_matrix(node)

    def _is_redundant(self, node: onnx.NodeProto) -> bool:
        """Say whether a clamp is what rounding to the plan's integers does anyway: its bounds lie at or beyond the range's ends."""
        if node.op_type not in CLAMPS or not self._ties.is_clamped(node.input[0]):
            return False
        ends_in_float = self._index.writers[node.input[0]].op_type in ENDS_IN_FLOAT and node.output[0] not in self._wanted
        if ends_in_float and not self._is_everything:
            return False
        affine = self._plan.activations[node.output[0]].asymmetric()
        low, high = ((step - affine.zero_point) * affine.scale for step in (-128, 127))
        floor, ceiling = clamp_bounds(node, self._index)
        return floor <= low + affine.scale / 2 and high - affine.scale / 2 <= ceiling


def clamp_bounds(node: onnx.NodeProto, index: GraphIndex) -> tuple[float, float]:
    """Return the least and the largest value that Relu or Clip lets pass."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    low, high = (*node.input[1:], "", "")[:2]
    floor = float(index.constants[low]) if low in index.constants else attribute(node, "min", float("-inf"))
    return floor, float(index.constants[high]) if high in index.constants else attribute(node, "max", float("inf"))
