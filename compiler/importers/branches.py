"""Takes the branch of an If that the model's static shapes and constants decide, so that what is left is a plain sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import AttributeProto, shape_inference

from compiler.graph.evaluate import Array, computed, is_repeatable
from compiler.graph.index import GraphIndex, attribute, replace_nodes
from compiler.graph.passes.lift_constants import LIFT_CONSTANTS

# Branches within branches come to light one after the other.
MAX_ROUNDS = 64


def settled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without the Ifs whose condition is known before it runs; others stay as they are."""
    for _ in range(MAX_ROUNDS):
        if not any(node.op_type == "If" for node in model.graph.node):
            return model
        LIFT_CONSTANTS.apply(model)
        inferred = shape_inference.infer_shapes(model, data_prop=True)
        index = GraphIndex(inferred)
        known: dict[str, Array | None] = {}
        choices = {place: _value(node.input[0], index, known) for place, node in enumerate(model.graph.node) if node.op_type == "If"}
        if all(value is None for value in choices.values()):
            return model
        _take(model, {place: bool(np.all(value)) for place, value in choices.items() if value is not None})
    return model


def _value(name: str, index: GraphIndex, known: dict[str, Array | None]) -> Array | None:
    """Return a tensor's constant value, or None where it depends on the input."""
    if name in index.constants:
        return index.constants[name]
    if name not in known:
        known[name] = None  # an answer for what depends on itself, which a valid graph never does
        known[name] = _written(name, index, known)
    return known[name]


def _written(name: str, index: GraphIndex, known: dict[str, Array | None]) -> Array | None:
    node = index.writers.get(name)
    if node is None or not is_repeatable(node):
        return None
    if node.op_type in {"Shape", "Size"} and not node.attribute:
        shape = index.shape(node.input[0])
        if shape is None:
            return None
        return np.asarray(shape if node.op_type == "Shape" else int(np.prod(shape)), np.int64)
    inputs = {given: _value(given, index, known) for given in node.input if given}
    constants = {given: value for given, value in inputs.items() if value is not None}
    results = computed(node, constants, list(index.model.opset_import)) if len(constants) == len(inputs) else None
    names = [written for written in node.output if written]
    return None if results is None else dict(zip(names, results, strict=True))[name]


def _take(model: onnx.ModelProto, choices: Mapping[int, bool]) -> None:
    nodes: list[onnx.NodeProto] = []
    for place, node in enumerate(list(model.graph.node)):
        if place not in choices:
            nodes.append(node)
            continue
        branch = onnx.GraphProto()
        branch.CopyFrom(attribute(node, "then_branch" if choices[place] else "else_branch", None))
        nodes += _inlined(model, node, branch, f"{node.name or node.output[0]}/branch")
    replace_nodes(model, nodes)


def _inlined(model: onnx.ModelProto, node: onnx.NodeProto, branch: onnx.GraphProto, prefix: str) -> Iterator[onnx.NodeProto]:
    """Yield the branch's nodes under names of their own, and hand its results on under the names that the If gave them."""
    own = {tensor.name for tensor in branch.initializer} | {name for inner in branch.node for name in inner.output if name}
    names = {name: f"{prefix}/{name}" for name in own}
    for tensor in branch.initializer:
        tensor.name = names[tensor.name]
        model.graph.initializer.append(tensor)
    for inner in branch.node:
        inner.name = f"{prefix}/{inner.name}" if inner.name else ""
        _rename(inner, names)
        yield inner
    for result, written in zip(node.output, branch.output, strict=True):
        yield onnx.helper.make_node("Identity", [names.get(written.name, written.name)], [result])


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    for group in (node.input, node.output):
        for position, name in enumerate(group):
            group[position] = names.get(name, name)
    for found in node.attribute:
        for body in [found.g] if found.type == AttributeProto.GRAPH else found.graphs:
            for inner in body.node:
                _rename(inner, names)
            for value in body.output:
                value.name = names.get(value.name, value.name)
