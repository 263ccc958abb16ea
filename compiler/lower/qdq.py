"""Writes QuantizeLinear and DequantizeLinear into a graph with exactly the plan's integers; where they go is the lowering's decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from compiler.graph.index import GraphIndex, attribute, replace_nodes, set_attribute, set_constant
from compiler.quantize.plan import INT8_MAX, INT8_MIN, Activation, Affine, Plan

UINT8_SHIFT = 128


@dataclass(frozen=True)
class Style:
    """How numbers are written.

    `affine` chooses between the plan's two forms; `is_unsigned` writes activations as uint8, by adding 128. Weights are int8 constants
    with a DequantizeLinear, or, as `weights_are_float`, the float values of those integers with a pair; a bias is int32 or float.
    """

    affine: Callable[[Activation], Affine]
    is_unsigned: bool
    weights_are_float: bool
    biases_are_float: bool


@dataclass(frozen=True)
class Placement:
    """Where numbers become integers, in terms of the float graph's names.

    `reads`: (node, input position) that read the dequantized form of a tensor; `weighted`: nodes whose constants are integers;
    `results`: graph outputs that are the dequantized form; `dropped`: clamps that the rounding before or after them already does.
    """

    reads: Set[tuple[str, int]]
    weighted: Set[str]
    results: Set[str]
    dropped: Set[str]


def quantized(model: onnx.ModelProto, plan: Plan, placement: Placement, style: Style) -> onnx.ModelProto:
    """Return a copy of a normal-form graph with the pairs in place, its nodes still in order."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _Writer(copy, plan, placement, style).write()
    return copy


class _Writer:
    """Rewrites one graph, node by node in its own order."""

    def __init__(self, model: onnx.ModelProto, plan: Plan, placement: Placement, style: Style) -> None:
        self._model, self._plan, self._placement, self._style = model, plan, placement, style
        self._index = GraphIndex(model)
        self._nodes: list[onnx.NodeProto] = []
        # Tensors that were renamed, because a clamp is gone or because the graph's output took the name.
        self._renamed: dict[str, str] = {}
        self._dequantized: dict[str, str] = {}
        # Weights that some node has already.
        self._written: set[str] = set()
        by_name = {node.name: node for node in model.graph.node}
        read = {by_name[name].input[position] for name, position in placement.reads}
        self._wanted = read | placement.results

    def write(self) -> None:
        """Change the model."""
        for value in self._model.graph.input:
            self._pair(value.name)
        for node in list(self._model.graph.node):
            self._node(node)
        replace_nodes(self._model, self._nodes)
        used = {name for node in self._nodes for name in node.input}
        dead = [index for index, tensor in enumerate(self._model.graph.initializer) if tensor.name not in used]
        for index in reversed(dead):
            del self._model.graph.initializer[index]

    def _node(self, node: onnx.NodeProto) -> None:
        if node.name in self._placement.dropped:
            self._renamed[node.output[0]] = self._renamed.get(node.input[0], node.input[0])
            self._pair(node.output[0])
            return
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for position, name in enumerate(node.input):
            copy.input[position] = self._read(node, position, name)
        if node.name in self._placement.weighted:
            self._constants(node, copy)
        for position, name in enumerate(node.output):
            if name in self._placement.results:
                self._renamed[name] = f"{name}/float"
            copy.output[position] = self._renamed.get(name, name)
        self._nodes.append(copy)
        for name in node.output:
            self._pair(name)

    def _read(self, node: onnx.NodeProto, position: int, name: str) -> str:
        if (node.name, position) not in self._placement.reads:
            return self._renamed.get(name, name)
        return self._operand(node, name) if name in self._index.constants else self._dequantized[name]

    def _pair(self, name: str) -> None:
        """Quantize and dequantize a tensor that was just written."""
        if name not in self._wanted:
            return
        parameters = self._parameters(name, name)
        result = name if name in self._placement.results else f"{name}/dequantized"
        self._add("QuantizeLinear", [self._renamed.get(name, name), *parameters], f"{name}/quantized")
        self._add("DequantizeLinear", [f"{name}/quantized", *parameters], result)
        self._dequantized[name] = result

    def _parameters(self, name: str, prefix: str) -> tuple[str, str]:
        affine = self._style.affine(self._plan.activations[name])
        zero_point = self._stored(np.asarray(affine.zero_point))
        return self._constant(f"{prefix}/scale", np.asarray(affine.scale, np.float32)), self._constant(f"{prefix}/zero_point", zero_point)

    def _operand(self, node: onnx.NodeProto, name: str) -> str:
        """Write a constant of an elementwise operator as integers, each node its own, as with weights."""
        prefix = f"{name}/operand/{node.name}"
        affine = self._style.affine(self._plan.activations[name])
        steps = np.rint(self._index.constants[name].astype(np.float64) / affine.scale) + affine.zero_point
        stored = self._constant(f"{prefix}/quantized", self._stored(np.clip(steps, INT8_MIN, INT8_MAX)))
        return self._add("DequantizeLinear", [stored, *self._parameters(name, prefix)], f"{prefix}/dequantized")

    def _stored(self, integers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return int8 values in the type that the style stores."""
        return (integers + UINT8_SHIFT).astype(np.uint8) if self._style.is_unsigned else integers.astype(np.int8)

    def _constants(self, node: onnx.NodeProto, copy: onnx.NodeProto) -> None:
        """Write weights and bias of one node."""
        copy.input[1] = self._weights(node)
        if len(node.input) > 2 and node.input[2] in self._index.constants and not self._style.biases_are_float:
            copy.input[2] = self._bias(node)

    def _weights(self, node: onnx.NodeProto) -> str:
        """Write a node's weights; with session.x64quantprecision, onnxruntime 1.31 fails on a constant that two nodes share."""
        name = node.input[1]
        prefix = f"{name}/weights" if name not in self._written else f"{name}/weights/{node.name}"
        self._written.add(name)
        chosen = self._plan.weights[name]
        stored = chosen.integers(self._index.constants[name])
        scales = np.asarray(chosen.scales, np.float32)
        parameters = [
            self._constant(f"{prefix}/scale", scales),
            self._constant(f"{prefix}/zero_point", np.zeros(len(scales), np.int8)),
        ]
        source = f"{prefix}/quantized"
        if self._style.weights_are_float:
            rounded = self._constant(f"{prefix}/rounded", stored.astype(np.float32) * scales.reshape(_along(stored, chosen.axis)))
            self._add("QuantizeLinear", [rounded, *parameters], source, axis=chosen.axis)
        else:
            self._constant(source, stored)
        return self._add("DequantizeLinear", [source, *parameters], f"{prefix}/dequantized", axis=chosen.axis)

    def _bias(self, node: onnx.NodeProto) -> str:
        """Write a bias as int32 with the scale of the products that it is added to; it is the node's own, as that scale is."""
        name = f"{node.name}/bias"
        source = self._style.affine(self._plan.activations[node.input[0]])
        scales = source.scale * np.asarray(self._plan.weights[node.input[1]].scales, np.float64)
        integers = np.rint(self._index.constants[node.input[2]].astype(np.float64) / scales)
        limits = np.iinfo(np.int32)
        inputs = [
            self._constant(f"{name}/quantized", np.clip(integers, limits.min, limits.max).astype(np.int32)),
            self._constant(f"{name}/scale", scales.astype(np.float32)),
            self._constant(f"{name}/zero_point", np.zeros(len(scales), np.int32)),
        ]
        return self._add("DequantizeLinear", inputs, f"{name}/dequantized", axis=0)

    def _constant(self, name: str, values: npt.NDArray[Any]) -> str:
        set_constant(self._model, name, values)
        return name

    def _add(self, operator: str, inputs: list[str], output: str, axis: int | None = None) -> str:
        node = helper.make_node(operator, inputs, [output], name=f"{output}/{operator}")
        if axis is not None:
            set_attribute(node, "axis", axis)
        self._nodes.append(node)
        return output


def weight_integers(model: onnx.ModelProto) -> Mapping[str, npt.NDArray[np.int8]]:
    """Return the int8 weights that a lowered graph ships, by the normal form's names, whichever way they are written."""
    constants = GraphIndex(model).constants
    found = {}
    for node in model.graph.node:
        name = node.output[0].removesuffix("/weights/quantized")
        if node.op_type == "QuantizeLinear" and name != node.output[0]:
            values, scales = (constants[source] for source in node.input[:2])
            steps = np.rint(values / scales.reshape(_along(values, attribute(node, "axis", 1))))
            found[name] = np.clip(steps, INT8_MIN, INT8_MAX).astype(np.int8)
    suffix = "/weights/quantized"
    return found | {name.removesuffix(suffix): values for name, values in constants.items() if name.endswith(suffix)}


def _along(values: npt.NDArray[Any], axis: int) -> list[int]:
    """Return the shape in which one number for each index of `axis` meets `values`."""
    shape = [1] * values.ndim
    shape[axis] = -1
    return shape
