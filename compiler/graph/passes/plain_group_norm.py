"""Writes GroupNormalization as the InstanceNormalization of its groups, which every runtime, and shape inference, knows."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from compiler.graph.index import GraphIndex, attribute, replace_nodes, set_constant
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Rewrite every GroupNormalization with constant scale and bias, one for each channel as since opset 21."""
    constants = GraphIndex(model).constants
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        is_constant = node.op_type == "GroupNormalization" and all(name in constants for name in node.input[1:])
        nodes += _as_instances(model, node) if is_constant else [node]
    replace_nodes(model, nodes)


def _as_instances(model: onnx.ModelProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    constants = GraphIndex(model).constants
    name, groups, channels = node.output[0], attribute(node, "num_groups", 1), constants[node.input[1]].size
    set_constant(model, f"{name}/groups", np.asarray([0, groups, -1]))
    set_constant(model, f"{name}/channels", np.asarray([0, channels, -1]))
    set_constant(model, f"{name}/ones", np.ones(groups, np.float32))
    set_constant(model, f"{name}/zeros", np.zeros(groups, np.float32))
    for place, part in ((1, "scale"), (2, "bias")):
        set_constant(model, f"{name}/{part}", constants[node.input[place]].reshape(1, -1, 1))
    inner = [f"{name}/parts", f"{name}/ones", f"{name}/zeros"]
    return [
        helper.make_node("Shape", [node.input[0]], [f"{name}/shape"]),
        helper.make_node("Reshape", [node.input[0], f"{name}/groups"], [f"{name}/parts"]),
        helper.make_node("InstanceNormalization", inner, [f"{name}/normal"], name=node.name, epsilon=attribute(node, "epsilon", 1e-5)),
        helper.make_node("Reshape", [f"{name}/normal", f"{name}/channels"], [f"{name}/rows"]),
        helper.make_node("Mul", [f"{name}/rows", f"{name}/scale"], [f"{name}/scaled"]),
        helper.make_node("Add", [f"{name}/scaled", f"{name}/bias"], [f"{name}/moved"]),
        helper.make_node("Reshape", [f"{name}/moved", f"{name}/shape"], [name]),
    ]


PLAIN_GROUP_NORM = Pass("normalizations of groups as ones of instances", apply)
