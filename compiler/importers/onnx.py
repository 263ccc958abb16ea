"""Reads an ONNX file into a checked float graph with batch 1, static shapes and an opset that can say per-channel quantization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are a package of their own
from onnx import checker, inliner, shape_inference

from compiler.errors import ModelError
from compiler.graph.passes.drop_unused import DROP_UNUSED
from compiler.graph.passes.fold_constants import FOLD_CONSTANTS
from compiler.graph.passes.lift_constants import LIFT_CONSTANTS
from compiler.graph.passes.name_nodes import NAME_NODES
from compiler.graph.passes.plain_group_norm import PLAIN_GROUP_NORM
from compiler.importers.branches import settled
from compiler.importers.dense import make_dense
from compiler.importers.files import read_file
from compiler.importers.notes import noted
from compiler.importers.shapes import Shapes, check_all_used, static_shape
from compiler.importers.single_precision import in_single_precision
from compiler.importers.upgrade import DEFAULT_DOMAINS, OLDEST_OPSET, opset_of, upgraded

MAX_MODEL_BYTES = 2**31 - 1  # a protobuf message cannot be longer
ALREADY_QUANTIZED = {"QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "MatMulNBits"}
CONTROL_FLOW = {"If", "Loop", "Scan"}


def import_onnx(file: Path, shapes: Shapes | None = None) -> onnx.ModelProto:
    """Return the model of `file`; raise ModelError naming what is wrong with it."""
    return prepared(_load(file), str(file), shapes or {})


def prepared(model: onnx.ModelProto, place: str, shapes: Shapes) -> onnx.ModelProto:
    """Return a whole and valid model as the compiler wants it; raise ModelError naming what in it nothing here can work with."""
    _check_opset(model, place)
    model = inliner.inline_local_functions(model)
    make_dense(model, place)
    replaced = in_single_precision(model)
    _drop_initializers_from_inputs(model)
    dropped = _drop_unread_inputs(model, shapes)
    _fix_shapes(model, place, shapes)
    model = _settled(model, place)
    _check_nodes(model, place)
    model = upgraded(model, place)
    for transform in (LIFT_CONSTANTS, PLAIN_GROUP_NORM):
        transform(model, place)
    model = _infer_shapes(model, place)
    for transform in (FOLD_CONSTANTS, DROP_UNUSED):  # what only shapes are read of is not read at all
        transform(model, place)
    dropped += _drop_unread_inputs(model, {})
    NAME_NODES(model, place)  # runtimes refuse a graph in which two nodes have one name
    return noted(model, [*_notes(model), *_type_notes(replaced), *_input_notes(dropped)])


def parsed(file: Path) -> onnx.ModelProto:
    """Return a file's message, of which nothing is known but that its names are text; raise ModelError."""
    raw, place = read_file(file, "an ONNX model", MAX_MODEL_BYTES), str(file)
    try:
        model = onnx.load_model_from_string(raw)
    except DecodeError as error:
        raise ModelError(place, "content", "an ONNX model", "something else, or a model cut short") from error
    if not all(isinstance(text, str) for text in _texts(model)):  # protobuf gives bytes for what is not UTF-8
        raise ModelError(place, "content", "names in UTF-8", "other bytes; the file is damaged")
    return model


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    graph = model.graph
    for part in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        yield part.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _load(file: Path) -> onnx.ModelProto:
    place, model = str(file), parsed(file)
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
        for value in model.graph.output:  # a result's shape may be left out; it is inferred
            if value.type.WhichOneof("value") == "tensor_type":
                value.type.tensor_type.shape.SetInParent()
        checker.check_model(model)
    except (checker.ValidationError, OSError, ValueError) as error:
        raise ModelError(place, "content", "a whole and valid ONNX model", str(error)) from error
    if not model.graph.output or not model.graph.node:
        raise ModelError(place, "graph", "nodes and an output", "an empty graph")
    return model


def _check_opset(model: onnx.ModelProto, place: str) -> None:
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset_of(model) <= newest:
        expected = f"{OLDEST_OPSET} to {newest}; export the model again, with opset 17"
        raise ModelError(place, "opset", expected, str(opset_of(model)))


def _check_nodes(model: onnx.ModelProto, place: str) -> None:
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    for node in model.graph.node:
        if refused := _refusal(node, constants):
            expected, found = refused
            name = node.name or next(iter(node.output), "without a name")
            raise ModelError(place, "graph", expected, f"node {name} of type {node.op_type}{found}")


def _refusal(node: onnx.NodeProto, constants: set[str]) -> tuple[str, str] | None:
    """Return what was expected of a node and what it is, or None for one that can be compiled."""
    is_integer = node.op_type in ALREADY_QUANTIZED or node.op_type.startswith("QLinear")
    if is_integer or (node.op_type == "DequantizeLinear" and not set(node.input) <= constants):
        return "a float model, as it was trained", "; quantizing it again would lose accuracy, give the float model"
    if node.domain not in DEFAULT_DOMAINS:
        return "operators of ONNX itself", f" and domain {node.domain}; replace it in the model, or export without it"
    if node.op_type in CONTROL_FLOW:
        advice = "; export the branch or the step that is inferred, with shapes that are fixed"
        return "a graph without control flow", advice
    if "Sequence" in node.op_type or node.op_type.startswith("Optional"):
        return "tensors alone", "; sequences and optional values have no form on a device, export the model without them"
    return None


def _drop_initializers_from_inputs(model: onnx.ModelProto) -> None:
    """Before IR version 4 every weight was an input as well; what is left afterwards are the true inputs."""
    model.ir_version = max(model.ir_version, 4)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def _drop_unread_inputs(model: onnx.ModelProto, shapes: Shapes) -> list[str]:
    """Take out inputs that nothing reads, which simplified graphs lose: a device would send them in vain. Return their names."""
    read = _read_names(model.graph) | {value.name for value in model.graph.output} | set(shapes)
    kept = [value for value in model.graph.input if value.name in read]
    dropped = [value.name for value in model.graph.input if value.name not in read]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return dropped


def _read_names(graph: onnx.GraphProto) -> set[str]:
    names = {name for node in graph.node for name in node.input}
    for node in graph.node:
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs:
                names |= _read_names(body) | {value.name for value in body.output}
    return names


def _settled(model: onnx.ModelProto, place: str) -> onnx.ModelProto:
    try:
        return settled(model)
    except shape_inference.InferenceError as error:
        raise ModelError(place, "graph", "shapes that fit each other", str(error)) from error


def _fix_shapes(model: onnx.ModelProto, place: str, shapes: Shapes) -> None:
    unused = dict(shapes)
    for value in model.graph.input:
        if value.type.WhichOneof("value") != "tensor_type":
            raise ModelError(place, f"input {value.name}", "a tensor", str(value.type.WhichOneof("value")))
        shape = static_shape(place, value.name, _dims(value), unused)
        value.type.tensor_type.ClearField("shape")
        for size in shape:
            value.type.tensor_type.shape.dim.add(dim_value=size)
    check_all_used(unused, place, [value.name for value in model.graph.input])
    # What was inferred for the old shapes no longer holds.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def _dims(value: onnx.ValueInfoProto) -> Sequence[int | str | None] | None:
    """Return an input's sizes, a name or None for one that is open; None for a shape that is not declared at all."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_param or (dim.dim_value if dim.dim_value > 0 else None) for dim in tensor.shape.dim]


def _infer_shapes(model: onnx.ModelProto, place: str) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise ModelError(place, "graph", "shapes that fit each other", str(error)) from error


def _type_notes(replaced: list[str]) -> list[str]:
    names = " and ".join(replaced)
    return (
        [f"numbers of type {names} became float32, inputs and outputs included; each target's numbers are made from that"] if names else []
    )


def _input_notes(dropped: list[str]) -> list[str]:
    return [f"input {name} is read by nothing and was left out" for name in dropped]


def _notes(model: onnx.ModelProto) -> list[str]:
    stored = sum(node.op_type == "DequantizeLinear" for node in model.graph.node)
    if not stored:
        return []
    lost = "what that rounding lost stays lost, a float file would do better"
    return [f"weights already quantized: {stored} tensors are stored as integers; {lost}"]
