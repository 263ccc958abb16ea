"""Answers questions about a graph by name: constants, shapes, who writes a tensor and who reads it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Use:
    """One place where a tensor is read: input number `position` of `node`."""

    node: onnx.NodeProto
    position: int


@dataclass(frozen=True)
class GraphIndex:
    """A look into one graph as it is now; after the graph has changed, take a new one."""

    model: onnx.ModelProto

    @cached_property
    def constants(self) -> dict[str, npt.NDArray[Any]]:
        """Return every initializer's values by its name."""
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}

    @cached_property
    def writers(self) -> dict[str, onnx.NodeProto]:
        """Return the node that writes a tensor; graph inputs and constants have none."""
        return {name: node for node in self.model.graph.node for name in node.output if name}

    @cached_property
    def uses(self) -> dict[str, list[Use]]:
        """Return the places where a tensor is read, in the graph's order; reading as a graph output is not among them."""
        found: dict[str, list[Use]] = defaultdict(list)
        for node in self.model.graph.node:
            for position, name in enumerate(node.input):
                if name:
                    found[name].append(Use(node, position))
        return dict(found)

    @cached_property
    def outputs(self) -> frozenset[str]:
        """Return the names of the graph's outputs."""
        return frozenset(value.name for value in self.model.graph.output)

    @cached_property
    def values(self) -> dict[str, onnx.ValueInfoProto]:
        """Return what is known of type and shape, by tensor; constants are not listed."""
        graph = self.model.graph
        return {value.name: value for group in (graph.value_info, graph.input, graph.output) for value in group}

    def shape(self, name: str) -> Shape | None:
        """Return a tensor's shape, or None where any of it is unknown."""
        if name in self.constants:
            return tuple(self.constants[name].shape)
        value = self.values.get(name)
        if value is None or not value.type.tensor_type.HasField("shape"):
            return None
        dims = value.type.tensor_type.shape.dim
        return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None

    def is_float(self, name: str) -> bool:
        """Say whether a tensor holds 32-bit floats."""
        if name in self.constants:
            return bool(self.constants[name].dtype == np.float32)
        return name in self.values and self.values[name].type.tensor_type.elem_type == TensorProto.FLOAT

    def is_activation(self, name: str) -> bool:
        """Say whether a tensor holds 32-bit floats that depend on the model's input."""
        return name not in self.constants and self.is_float(name)

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """Return the one node that reads a tensor, if it is read once and is no output of the graph."""
        uses = self.uses.get(name, [])
        return uses[0].node if len(uses) == 1 and name not in self.outputs else None


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return an attribute's plain value, or `default` where the node does not have it."""
    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def set_attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    """Give an attribute a value, whether the node had it or not."""
    kept = [found for found in node.attribute if found.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def set_constant(model: onnx.ModelProto, name: str, values: npt.NDArray[Any]) -> None:
    """Add an initializer, or replace the one of that name."""
    tensor = numpy_helper.from_array(values, name)
    for index, found in enumerate(model.graph.initializer):
        if found.name == name:
            model.graph.initializer[index].CopyFrom(tensor)
            return
    model.graph.initializer.append(tensor)


def replace_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Make `nodes` the graph's nodes, in this order."""
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)  # a node of the old list does not outlive it
        copies.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(copies)
