"""Sees any ONNX graph as a network: float, quantized, or with operators that only their author knows."""

from __future__ import annotations

import math
from typing import Any

import onnx
from onnx import TensorProto, helper

from compiler.inspect.network import Network, Shape, Step, Value

VIEWS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"}
QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}
# Where an operator has its weights, and so what they multiply.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "FusedConv": 1, "QLinearConv": 3}
_PRODUCTS = {"MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3}
_RECURRENT = {"LSTM", "GRU", "RNN"}
_BITS: dict[int, int] = {TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.INT2: 2, TensorProto.UINT2: 2, TensorProto.FLOAT4E2M1: 4}
_KNOWN_DOMAINS = {"", "ai.onnx", "com.microsoft"}
# Numbers that say where, not how much.
_POSITIONS = {TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING}


def network_of(model: onnx.ModelProto) -> Network:
    """Return what is known of a graph whose shapes were inferred."""
    graph = model.graph
    values = {info.name: _value(info) for info in (*graph.value_info, *graph.output, *graph.input)}
    constants = {tensor.name: tensor for tensor in _constants(graph)}
    values |= {name: _constant(tensor) for name, tensor in constants.items()}
    scales = {name for node in graph.node if node.op_type in QUANTIZERS for name in node.input[1:]}
    parameters = {name for name, tensor in constants.items() if tensor.data_type not in _POSITIONS and name not in scales}
    return Network(
        format=f"ONNX, opset {next((entry.version for entry in model.opset_import if entry.domain in ('', 'ai.onnx')), 1)}",
        inputs=tuple(info.name for info in graph.input if info.name not in constants),
        outputs=tuple(info.name for info in graph.output),
        values=values,
        parameters=frozenset(parameters),
        shortened=frozenset(name for name in parameters if values[name].bits < 32),
        steps=tuple(_step(node, index, values) for index, node in enumerate(graph.node) if node.op_type != "Constant"),
    )


def _constants(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                tensor = onnx.TensorProto()
                tensor.CopyFrom(attribute.t)
                tensor.name = node.output[0]
                found.append(tensor)
    return found


def _value(info: onnx.ValueInfoProto) -> Value:
    tensor = info.type.tensor_type
    shape: Shape | None = None
    if tensor.HasField("shape"):
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return _typed(tensor.elem_type, shape)


def _constant(tensor: onnx.TensorProto) -> Value:
    return _typed(tensor.data_type, tuple(tensor.dims))


def _typed(element: int, shape: Shape | None) -> Value:
    if element not in TensorProto.DataType.values() or element == TensorProto.UNDEFINED:
        return Value("unknown", shape, 32)
    name = TensorProto.DataType.Name(element)
    return Value(name, shape, _BITS.get(element) or helper.tensor_dtype_to_np_dtype(element).itemsize * 8)


def _step(node: onnx.NodeProto, index: int, values: dict[str, Value]) -> Step:
    domain = "" if node.domain in {"", "ai.onnx"} else f"{node.domain}."
    name = node.name or f"{node.op_type} {index}"
    is_view = node.op_type in VIEWS and not domain
    return Step(name, domain + node.op_type, tuple(node.input), tuple(node.output), _macs(node, values), is_view)


def _macs(node: onnx.NodeProto, values: dict[str, Value]) -> int | None:
    shapes: list[Any] = [_known(values.get(name)) for name in node.input]
    result = _known(values.get(node.output[0])) if node.output else None
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    kind = node.op_type
    if kind in _CONVOLUTIONS:
        return _product(result, _tail(shapes, _CONVOLUTIONS[kind], 1))
    if kind == "ConvTranspose":
        return _product(shapes[0], _tail(shapes, 1, 1))
    if kind == "Gemm":
        inner = shapes[0][0 if attributes.get("transA") else -1] if shapes[0] else None
        return _product(result, None if inner is None else (inner,))
    if kind in _PRODUCTS:
        return _product(result, shapes[0][-1:] if shapes[0] else None)
    if kind in _RECURRENT:
        return _recurrent(shapes)
    return 0 if node.domain in _KNOWN_DOMAINS else None


def _recurrent(shapes: list[Any]) -> int | None:
    """Count one step's products with input and state, times steps, batch and directions."""
    if any(shape is None or len(shape) != 3 for shape in shapes[:3]):
        return None
    (steps, batch, _), (directions, rows, width), (_, _, state) = shapes[:3]
    return int(steps * batch * directions * rows * (width + state))


def _known(value: Value | None) -> tuple[int, ...] | None:
    if value is None or value.elements is None or value.shape is None:
        return None
    return tuple(size or 0 for size in value.shape)


def _tail(shapes: list[Any], place: int, begin: int) -> tuple[int, ...] | None:
    return shapes[place][begin:] if place < len(shapes) and shapes[place] is not None else None


def _product(left: tuple[int, ...] | None, right: tuple[int, ...] | None) -> int | None:
    return None if left is None or right is None else math.prod(left) * math.prod(right)
