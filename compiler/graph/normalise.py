"""Brings a graph to its normal form: float weights, folded constants, nothing that only its producer cares about."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxslim
from onnx import helper, numpy_helper

PRODUCER = "fieldfare"


def normalise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an equivalent, smaller graph; `model` itself is left as it was."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _fold_dequantized_weights(copy)
    slim = onnxslim.slim(copy)
    assert isinstance(slim, onnx.ModelProto)  # it only returns None when it writes a file
    return onnx.shape_inference.infer_shapes(slim, data_prop=True)


def sealed(model: onnx.ModelProto) -> bytes:
    """Return a model's file: the same graph gives the same bytes, and the oldest runtime that knows its opset can read it."""
    used = {node.domain for node in model.graph.node} | {""}
    opsets = sorted((entry for entry in model.opset_import if entry.domain in used), key=lambda entry: entry.domain)
    oldest = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    plain = onnx.ModelProto(graph=model.graph, producer_name=PRODUCER, ir_version=oldest)
    plain.opset_import.extend(opsets)
    plain.graph.ClearField("value_info")
    for part in (plain.graph, *plain.graph.node, *plain.graph.input, *plain.graph.output, *plain.graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return bytes(plain.SerializeToString(deterministic=True))


def _fold_dequantized_weights(model: onnx.ModelProto) -> None:
    """Some exporters store float weights as int8 with a DequantizeLinear; quantizing needs the float values themselves."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and all(name in constants for name in node.input):
            weights = _dequantized(node, [numpy_helper.to_array(constants[name]) for name in node.input])
            model.graph.initializer.append(numpy_helper.from_array(weights, node.output[0]))
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _dequantized(node: onnx.NodeProto, inputs: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
    """Evaluate DequantizeLinear of opset 13: (x - zero point) * scale, per tensor or along one axis."""
    values = inputs[0].astype(np.int32)
    scale = inputs[1].astype(np.float32)
    zero_point = inputs[2].astype(np.int32) if len(inputs) > 2 else np.zeros_like(scale, dtype=np.int32)
    if scale.size > 1:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        along = [1] * values.ndim
        along[axis] = -1
        scale, zero_point = scale.reshape(along), zero_point.reshape(along)
    return ((values - zero_point) * scale).astype(np.float32).reshape(inputs[0].shape)
