"""Brings Gemm to the form that integer kernels have: weights and a vector of biases, without factors of their own."""

from __future__ import annotations

import numpy as np
import onnx

from compiler.graph.index import GraphIndex, attribute, set_attribute, set_constant
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Multiply alpha and beta into constants, and spread a constant bias over the output channels."""
    index = GraphIndex(model)
    for node in model.graph.node:
        if node.op_type == "Gemm" and all(name in index.constants for name in node.input[1:]):
            _fold_factor(model, index, node, "alpha", 1)
            if len(node.input) > 2 and node.input[2]:
                _fold_factor(model, index, node, "beta", 2)
                _spread_bias(model, node)


def _fold_factor(model: onnx.ModelProto, index: GraphIndex, node: onnx.NodeProto, factor: str, position: int) -> None:
    value = attribute(node, factor, 1.0)
    if value == 1.0:
        return
    name = f"{node.output[0]}/{factor}"
    set_constant(model, name, (index.constants[node.input[position]] * np.float32(value)).astype(np.float32))
    node.input[position] = name
    set_attribute(node, factor, 1.0)


def _spread_bias(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    constants = GraphIndex(model).constants
    weights, bias = constants[node.input[1]], constants[node.input[2]]
    channels = weights.shape[0 if attribute(node, "transB", 0) else 1]
    if bias.shape != (channels,) and bias.size in {1, channels} and bias.shape[-1:] in {(), (1,), (channels,)}:
        name = f"{node.output[0]}/bias"
        set_constant(model, name, np.broadcast_to(bias.reshape(-1), (channels,)).copy())
        node.input[2] = name


PLAIN_GEMM = Pass("dense layers whose factors are constants", apply)
