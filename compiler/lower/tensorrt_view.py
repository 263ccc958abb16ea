"""Looks at a graph as TensorRT's optimizer does: through Q/DQ pairs, from the operators on either side."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from compiler.graph.index import GraphIndex, attribute

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
POOLS = frozenset({"AveragePool", "GlobalAveragePool"})
COMMUTING = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
# These fuse with the operator before them as long as no pair stands between.
POINTWISE = frozenset({"BatchNormalization", "Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Relu", "Sigmoid", "Tanh"})


@dataclass(frozen=True)
class View:
    """One graph, its constants being initializers; `oldest` is the first TensorRT that must read it."""

    index: GraphIndex
    oldest: int

    @property
    def constants(self) -> dict[str, npt.NDArray[Any]]:
        """Return the initializers by name."""
        return self.index.constants

    @cached_property
    def nodes(self) -> list[onnx.NodeProto]:
        """Return all nodes in their order."""
        return list(self.index.model.graph.node)

    @cached_property
    def pairs(self) -> list[onnx.NodeProto]:
        """Return every pair by its first node: a QuantizeLinear, or a DequantizeLinear that does not just undo one.

        Dequantized biases are not among them: they are a matter of their own.
        """
        found = [node for node in self.of_type({QUANTIZE, DEQUANTIZE}) if not self._is_second(node)]
        return [node for node in found if not self.is_bias(node)]

    def is_bias(self, node: onnx.NodeProto) -> bool:
        """Say whether a DequantizeLinear reads a constant of 32 bits."""
        return node.input[0] in self.constants and self.constants[node.input[0]].dtype == np.int32

    def of_type(self, operators: Set[str]) -> list[onnx.NodeProto]:
        """Return the nodes of some operators, in their order."""
        return [node for node in self.nodes if node.op_type in operators]

    def dequantizer(self, name: str) -> onnx.NodeProto | None:
        """Return the DequantizeLinear that writes a tensor, if one does."""
        writer = self.index.writers.get(name)
        return writer if writer is not None and writer.op_type == DEQUANTIZE else None

    def quantizer(self, name: str) -> onnx.NodeProto | None:
        """Return the first QuantizeLinear that reads a tensor, if one does."""
        return next((use.node for use in self.index.uses.get(name, []) if use.node.op_type == QUANTIZE), None)

    def readers_through_pair(self, name: str) -> list[onnx.NodeProto]:
        """Return what reads a tensor behind a Q/DQ pair."""
        found = []
        for use in self.index.uses.get(name, []):
            if use.node.op_type == QUANTIZE:
                middle = [other.node for other in self.index.uses.get(use.node.output[0], [])]
                found += [last.node for node in middle if node.op_type == DEQUANTIZE for last in self.index.uses.get(node.output[0], [])]
        return found

    def is_quantized_product(self, name: str) -> bool:
        """Say whether a tensor is the result of a weighted operator that reads integers."""
        writer = self.index.writers.get(name)
        return writer is not None and writer.op_type in WEIGHTED and self.dequantizer(writer.input[0]) is not None

    def is_of_constant(self, node: onnx.NodeProto) -> bool:
        """Say whether a Q or DQ node works on a constant: a weight."""
        source = node.input[0]
        writer = self.index.writers.get(source)
        return source in self.constants or (writer is not None and writer.op_type == QUANTIZE and writer.input[0] in self.constants)

    def scale(self, node: onnx.NodeProto) -> npt.NDArray[Any] | None:
        """Return the scale of a Q or DQ node, or None where it is no constant."""
        return self.constants.get(node.input[1])

    def have_one_scale(self, pairs: list[onnx.NodeProto]) -> bool:
        """Say whether Q or DQ nodes have the same constant scale."""
        scales = [self.scale(node) for node in pairs]
        first = scales[0]
        return first is not None and all(scale is not None and np.array_equal(scale, first) for scale in scales)

    def axis(self, node: onnx.NodeProto) -> int:
        """Return a Q or DQ node's axis, counted from the front."""
        axis = int(attribute(node, "axis", 1))
        source = self.index.writers[node.input[0]].input[0] if node.input[0] in self.index.writers else node.input[0]
        return axis + self.constants[source].ndim if axis < 0 and source in self.constants else axis

    def output_axis(self, node: onnx.NodeProto) -> int:
        """Return the axis of a weighted operator's weights that counts its output channels; of a matrix product it is the last."""
        if node.op_type == "Gemm":
            return 0 if attribute(node, "transB", 0) else 1
        if node.op_type == "MatMul":
            pair = self.dequantizer(node.input[1])
            source = pair.input[0] if pair is not None else node.input[1]
            source = self.index.writers[source].input[0] if source in self.index.writers else source
            return self.constants[source].ndim - 1 if source in self.constants else 1
        return 1 if node.op_type == "ConvTranspose" else 0

    def weight_shape(self, node: onnx.NodeProto) -> tuple[int, ...] | None:
        """Return the shape of a weighted operator's quantized constant weights; None where they are float or computed."""
        pair = self.dequantizer(node.input[1])
        if pair is None or not self.is_of_constant(pair):
            return None
        source = pair.input[0] if pair.input[0] in self.constants else self.index.writers[pair.input[0]].input[0]
        return tuple(self.constants[source].shape)

    def origin(self, name: str) -> str:
        """Return the tensor that a value was before pairs and casts."""
        while name in self.index.writers and self.index.writers[name].op_type in {QUANTIZE, DEQUANTIZE, "Cast"}:
            name = self.index.writers[name].input[0]
        return name

    def rows(self, name: str) -> int | None:
        """Return how many rows a result has, None where its shape is not known."""
        shape = self.index.shape(name)
        return None if shape is None else math.prod(shape[:-1])

    def integer_type(self, node: onnx.NodeProto) -> str:
        """Return the name of the type that a Q node writes or a DQ node reads; uint8 is what ONNX takes where nothing says it."""
        if len(node.input) > 2 and node.input[2] in self.constants:
            return str(self.constants[node.input[2]].dtype)
        if node.op_type == DEQUANTIZE and node.input[0] in self.constants:
            return str(self.constants[node.input[0]].dtype)
        if node.op_type == DEQUANTIZE and node.input[0] in self.index.writers:
            return self.integer_type(self.index.writers[node.input[0]]) if self._is_quantizer(node.input[0]) else "unknown"
        code = attribute(node, "output_dtype", 0)
        return str(helper.tensor_dtype_to_np_dtype(code)) if code else "uint8"

    def _is_second(self, node: onnx.NodeProto) -> bool:
        """Say whether a node dequantizes with the very constants that the node before it quantized with."""
        writer = self.index.writers.get(node.input[0])
        return node.op_type == DEQUANTIZE and writer is not None and writer.op_type == QUANTIZE and writer.input[1:] == node.input[1:]

    def _is_quantizer(self, name: str) -> bool:
        return self.index.writers[name].op_type == QUANTIZE
