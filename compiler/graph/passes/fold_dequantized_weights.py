"""Makes weights float that an exporter stored as integers with a DequantizeLinear: quantizing needs the values themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from compiler.graph.index import GraphIndex, attribute, replace_nodes, set_constant
from compiler.graph.passes.port import Pass


def apply(model: onnx.ModelProto) -> None:
    """Replace each DequantizeLinear of constants by its result."""
    constants = GraphIndex(model).constants
    kept = []
    for node in model.graph.node:
        if _is_of_constants(node, constants):
            set_constant(model, node.output[0], _dequantized(node, [constants[name] for name in node.input]))
        else:
            kept.append(node)
    replace_nodes(model, kept)


def _is_of_constants(node: onnx.NodeProto, constants: dict[str, npt.NDArray[Any]]) -> bool:
    return node.op_type == "DequantizeLinear" and all(name in constants for name in node.input)


def _dequantized(node: onnx.NodeProto, inputs: list[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Evaluate DequantizeLinear of opset 13: (x - zero point) * scale, per tensor or along one axis."""
    values = inputs[0].astype(np.int32)
    scale = inputs[1].astype(np.float32)
    zero_point = inputs[2].astype(np.int32) if len(inputs) > 2 else np.zeros_like(scale, dtype=np.int32)
    if scale.size > 1:
        along = [1] * values.ndim
        along[attribute(node, "axis", 1)] = -1
        scale, zero_point = scale.reshape(along), zero_point.reshape(along)
    return ((values - zero_point) * scale).astype(np.float32).reshape(inputs[0].shape)


FOLD_DEQUANTIZED_WEIGHTS = Pass("weights as float values", apply)
