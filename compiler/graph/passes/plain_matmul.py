"""Gives the constant weights of a MatMul the form that integer kernels have, a matrix, where that is what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from compiler.graph.index import GraphIndex, Shape, replace_nodes, set_constant
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Take off leading axes of length 1, and make a vector a matrix of one column."""
    index = GraphIndex(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        weights = index.constants.get(node.input[1]) if node.op_type == "MatMul" and node.input[0] not in index.constants else None
        source = index.shape(node.input[0])
        if weights is not None and weights.ndim == 1 and source is not None and len(source) > 1:
            nodes += _as_column(model, node, weights.reshape(-1, 1), source)
            continue
        if weights is not None and weights.ndim > 2 and source is not None and _is_matrix(weights.shape, source):
            name = f"{node.output[0]}/weights"
            set_constant(model, name, weights.reshape(weights.shape[-2:]))
            node.input[1] = name
        nodes.append(node)
    replace_nodes(model, nodes)


def _is_matrix(weights: Shape, source: Shape) -> bool:
    return set(weights[:-2]) == {1} and len(source) >= len(weights)


def _as_column(model: onnx.ModelProto, node: onnx.NodeProto, column: npt.NDArray[Any], source: Shape) -> list[onnx.NodeProto]:
    name = node.output[0]
    set_constant(model, f"{name}/column", column)
    set_constant(model, f"{name}/shape", np.asarray(source[:-1], np.int64))
    product = helper.make_node("MatMul", [node.input[0], f"{name}/column"], [f"{name}/product"], name=node.name)
    return [product, helper.make_node("Reshape", [f"{name}/product", f"{name}/shape"], [name], name=f"{name}/reshape")]


PLAIN_MATMUL = Pass("dense layers whose weights are matrices", apply)
