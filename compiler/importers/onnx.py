"""Reads an ONNX file into a checked graph with batch 1, static shapes and an opset that can say per-channel quantization."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are a package of their own
from onnx import checker, inliner, shape_inference, version_converter

from compiler.errors import ModelError
from compiler.graph.interface import dims_of

# Since opset 13 QuantizeLinear and DequantizeLinear take an axis.
MIN_OPSET = 13
MAX_MODEL_BYTES = 2**31 - 1  # a protobuf message cannot be longer
ALREADY_QUANTIZED = {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}


def import_onnx(file: Path) -> onnx.ModelProto:
    """Return the model of `file`; raise ModelError naming what is wrong with it."""
    model = inliner.inline_local_functions(_load(file))
    _check_is_float(model, file)
    _drop_initializers_from_inputs(model)
    _fix_batch(model, file)
    return _infer_shapes(_upgrade(model, file), file)


def _load(file: Path) -> onnx.ModelProto:
    if not file.is_file():
        raise ModelError(str(file), "file", "an ONNX model", "no such file")
    if file.stat().st_size > MAX_MODEL_BYTES:
        raise ModelError(str(file), "size", f"at most {MAX_MODEL_BYTES} bytes", str(file.stat().st_size))
    try:
        model = onnx.load_model_from_string(file.read_bytes())
        onnx.load_external_data_for_model(model, str(file.parent))
        checker.check_model(model)
    except DecodeError as error:
        raise ModelError(str(file), "content", "an ONNX model", "something else, or a model cut short") from error
    except (checker.ValidationError, OSError, ValueError) as error:
        raise ModelError(str(file), "content", "a whole and valid ONNX model", str(error)) from error
    if not model.graph.output or not model.graph.node:
        raise ModelError(str(file), "graph", "nodes and an output", "an empty graph")
    return model


def _check_is_float(model: onnx.ModelProto, file: Path) -> None:
    for node in model.graph.node:
        if node.op_type in ALREADY_QUANTIZED:
            found = f"node {node.name or node.output[0]} of type {node.op_type}"
            raise ModelError(str(file), "graph", "a float model, as it was trained", found)


def _drop_initializers_from_inputs(model: onnx.ModelProto) -> None:
    """Before IR version 4 every weight was an input as well; what is left afterwards are the true inputs."""
    model.ir_version = max(model.ir_version, 4)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def _fix_batch(model: onnx.ModelProto, file: Path) -> None:
    for value in model.graph.input:
        shape = value.type.tensor_type.shape
        found = dims_of(value)
        if not shape.dim:
            raise ModelError(str(file), f"input {value.name}", "a static shape whose first axis is the batch", found)
        if not shape.dim[0].HasField("dim_value") or shape.dim[0].dim_value < 1:
            shape.dim[0].dim_value = 1
        if any(dim.dim_value < 1 for dim in shape.dim):
            raise ModelError(str(file), f"input {value.name}", "a static shape but for the batch", found)
        if shape.dim[0].dim_value != 1:
            raise ModelError(str(file), f"input {value.name}", "a batch of 1, or a free one", found)
    # What was inferred for the old batch no longer holds.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def _upgrade(model: onnx.ModelProto, file: Path) -> onnx.ModelProto:
    opset = next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 1)
    if opset >= MIN_OPSET:
        return model
    try:
        return version_converter.convert_version(model, MIN_OPSET)
    except (RuntimeError, version_converter.ConvertError) as error:
        raise ModelError(str(file), f"opset {opset}", f"operators that can be raised to opset {MIN_OPSET}", str(error)) from error


def _infer_shapes(model: onnx.ModelProto, file: Path) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise ModelError(str(file), "graph", "shapes that fit each other", str(error)) from error
