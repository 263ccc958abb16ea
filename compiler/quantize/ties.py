"""Decides which tensors share one range: operators that only move or choose values cannot change the scale on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import onnx

from compiler.graph.index import GraphIndex, attribute
from compiler.quantize.ranges import Range

# Values pass unchanged, or as means of their neighbours; TFLite asks for one scale in and out ("LiteRT 8-bit quantization
# specification"). A mean over everything is free: it has its own scale.
PASSING = frozenset(
    {
        *("AveragePool", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool", "Pad"),
        *("ReduceMax", "ReduceMin", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)
# Their values come from several tensors, which share the range of the result where that costs them little.
JOINING = frozenset({"Concat", "Max", "Min"})
CLAMPS = frozenset({"Clip", "Relu"})
# These can clamp what they write at no cost.
CLAMPABLE = frozenset(
    {"Add", "Conv", "ConvTranspose", "Div", "Gemm", "GlobalAveragePool", "MatMul", "Mul", "ReduceMean", "ReduceSum", "Sub"}
)
# What these can give is known without looking; int8 divides it into steps of 1/256, 1/128 and 1/16 (the same specification).
FIXED = {
    "LogSoftmax": Range(-255 / 16, 0.0),
    "Sigmoid": Range(0.0, 255 / 256),
    "Softmax": Range(0.0, 255 / 256),
    "Tanh": Range(-1.0, 127 / 128),
}


@dataclass(frozen=True)
class Ties:
    """Every float activation of a normal-form graph, and the tensor whose range it has."""

    index: GraphIndex

    @cached_property
    def source_of(self) -> Mapping[str, str]:
        """Map each activation to the one whose values it takes; many map to themselves.

        What goes only into a clamp maps forward to the clamp's result: values beyond the clamp need no steps of their own.
        """
        graph = self.index.model.graph
        found = {value.name: value.name for value in graph.input if self.index.is_float(value.name)}
        for node in graph.node:
            for name in node.output:
                if name and self.index.is_activation(name):
                    found[name] = self._source(node, name, found)
        return found

    @cached_property
    def fixed(self) -> Mapping[str, Range]:
        """Return the ranges that need no samples, by source."""
        return {name: FIXED[writer] for name in set(self.source_of.values()) if (writer := self._writer(name)) in FIXED}

    @cached_property
    def joins(self) -> tuple[onnx.NodeProto, ...]:
        """Return the nodes that join several tensors, in the graph's order."""
        nodes = self.index.model.graph.node
        return tuple(node for node in nodes if node.op_type in JOINING and node.output[0] in self.source_of)

    @cached_property
    def observed(self) -> tuple[str, ...]:
        """Return the sources whose values must be seen to know their range, in the graph's order."""
        sources = dict.fromkeys(self.source_of.values())
        return tuple(name for name in sources if name not in self.fixed and self._writer(name) not in JOINING)

    def is_clamped(self, name: str) -> bool:
        """Say whether a tensor goes nowhere but into a clamp that its writer can do itself."""
        reader = self.index.only_reader(name)
        return reader is not None and reader.op_type in CLAMPS and self._writer(name) in CLAMPABLE

    def _source(self, node: onnx.NodeProto, name: str, known: Mapping[str, str]) -> str:
        if is_passing(node) and node.input[0] in known:
            return known[node.input[0]]
        reader = self.index.only_reader(name)
        return reader.output[0] if reader is not None and self.is_clamped(name) else name

    def _writer(self, name: str) -> str:
        return self.index.writers[name].op_type if name in self.index.writers else ""


def is_passing(node: onnx.NodeProto) -> bool:
    """Say whether a node's result has the scale of its first input; cubic interpolation overshoots."""
    return node.op_type in PASSING and attribute(node, "mode", b"") != b"cubic"
