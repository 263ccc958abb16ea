"""Reads from a shipped file which operators compute in integers, and which in float."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx
from onnx import TensorProto

from compiler.package.section import Section
from contracts.names import Runtime

BOUNDARIES = frozenset({"QuantizeLinear", "DequantizeLinear"})
HALF, FLOAT = "fp16", "float"


class OpPlacement(Section):
    """How many operators of a kind compute in which numbers."""

    operator: str
    numbers: str
    count: int


def placement_of(model: bytes, runtime: Runtime) -> tuple[OpPlacement, ...]:
    """Return the operators of a file by kind, the most frequent first."""
    found = Counter(_of_tflite(model) if runtime == "litert" else _of_onnx(onnx.load_from_string(model)))
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(OpPlacement(operator=operator, numbers=numbers, count=count) for (operator, numbers), count in ordered)


def _of_onnx(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    """An operator between DequantizeLinear and QuantizeLinear is one that a runtime fuses into an integer kernel."""
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    is_half = TensorProto.FLOAT16 in constants.values()
    for node in model.graph.node:
        if node.op_type in BOUNDARIES:
            continue
        values = [name for name in node.input if name in made_by]
        has_integers = bool(values) and all(made_by[name] == "DequantizeLinear" for name in values)
        yield node.op_type, "int8" if has_integers else HALF if is_half and node.op_type != "Cast" else FLOAT


def _of_tflite(model: bytes) -> Iterator[tuple[str, str]]:
    """An operator computes in the numbers that come out of it."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    graph_model = schema.ModelT.InitFromPackedBuf(model, 0)
    for graph in graph_model.subgraphs:
        for operator in graph.operators:
            code = graph_model.operatorCodes[operator.opcodeIndex]
            kind = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")
            numbers = types[graph.tensors[operator.outputs[0]].type]
            yield kind, FLOAT if numbers == "float32" else HALF if numbers == "float16" else numbers
