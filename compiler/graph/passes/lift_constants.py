"""Turns Constant nodes into initializers, so that a constant has one form; refuses branches and loops, whose bodies have their own."""

from __future__ import annotations

import onnx
from onnx import AttributeProto, helper

from compiler.graph.index import replace_nodes
from compiler.graph.passes.port import Pass

FORMS = {"value", "value_float", "value_floats", "value_int", "value_ints"}


def apply(model: onnx.ModelProto) -> None:
    """Move every numeric Constant into the initializers."""
    kept = []
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name in FORMS:
            tensor = _tensor_of(node.attribute[0])
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
        else:
            kept.append(node)
    replace_nodes(model, kept)


def _tensor_of(found: onnx.AttributeProto) -> onnx.TensorProto:
    if found.name == "value":
        return found.t
    value = helper.get_attribute_value(found)
    kind = onnx.TensorProto.FLOAT if "float" in found.name else onnx.TensorProto.INT64
    is_list = isinstance(value, (list, tuple))
    values = list(value) if is_list else [value]
    return helper.make_tensor("", kind, [len(values)] if is_list else [], values)


def _has_no_bodies(model: onnx.ModelProto) -> str | None:
    for node in model.graph.node:
        if any(found.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS} for found in node.attribute):
            name = node.name or next(iter(node.output), "")
            return f"node {name} of type {node.op_type}, which decides while it runs; export the branch or step that is needed"
    return None


def _is_lifted(model: onnx.ModelProto) -> str | None:
    left = next((node for node in model.graph.node if node.op_type == "Constant"), None)
    return None if left is None else f"constant {left.output[0]}, which holds no numbers"


LIFT_CONSTANTS = Pass("a plain sequence of operators over tensors of numbers", apply, _is_lifted, requires=_has_no_bodies)
