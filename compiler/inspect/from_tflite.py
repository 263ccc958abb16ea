"""Sees any .tflite file as a network: float, quantized, or with custom operators."""

from __future__ import annotations

import math

from compiler.importers.tflite.flatbuffer import NUMPY_TYPES, FlatModel, Operator, Tensor
from compiler.inspect.network import Network, Step, Value

VIEWS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}
# What multiplies in a way that is not counted here.
_UNCOUNTED = ("CUSTOM", "LSTM", "UNIDIRECTIONAL_", "BIDIRECTIONAL_", "RNN", "SVDF", "CONV_3D", "STABLEHLO_")
_BITS = {"FLOAT32": 32, "FLOAT64": 64, "FLOAT16": 16, "INT64": 64, "UINT64": 64, "INT32": 32, "UINT32": 32, "INT16": 16, "UINT16": 16}


def network_of(flat: FlatModel) -> Network:
    """Return what is known of a file's graph; sizes it leaves open are taken as it states them for now."""
    names = _names(flat)
    parameters = {index for index, tensor in enumerate(flat.tensors) if tensor.data is not None and _is_trained(tensor)}
    weights = {index for index in parameters if flat.tensors[index].datatype in {"INT8", "UINT8", "INT16", "FLOAT16"}}
    return Network(
        format="TensorFlow Lite",
        inputs=tuple(names[index] for index in flat.inputs),
        outputs=tuple(names[index] for index in flat.outputs),
        values={names[index]: _value(tensor) for index, tensor in enumerate(flat.tensors)},
        parameters=frozenset(names[index] for index in parameters),
        shortened=frozenset(names[index] for index in weights),
        steps=tuple(_step(operator, flat, names) for operator in flat.operators),
    )


def _names(flat: FlatModel) -> dict[int, str]:
    """Give every tensor a name of its own; the file need not."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for index, tensor in enumerate(flat.tensors):
        name = tensor.name if tensor.name and tensor.name not in taken else f"{tensor.name}#{index}"
        taken.add(name)
        names[index] = name
    return names


def _is_trained(tensor: Tensor) -> bool:
    # Integers without a scale say where, not how much.
    return tensor.quantization is not None or tensor.datatype.startswith("FLOAT")


def _value(tensor: Tensor) -> Value:
    return Value(tensor.datatype, tensor.shape, _BITS.get(tensor.datatype, 8 if tensor.datatype in NUMPY_TYPES else 32))


def _step(operator: Operator, flat: FlatModel, names: dict[int, str]) -> Step:
    return Step(
        name=names[operator.outputs[0]] if operator.outputs else operator.place,
        op=operator.name,
        inputs=tuple(names[index] for index in operator.inputs if index >= 0),
        outputs=tuple(names[index] for index in operator.outputs),
        macs=_macs(operator, flat),
        is_view=operator.name in VIEWS,
    )


def _macs(operator: Operator, flat: FlatModel) -> int | None:
    def size(index: int) -> int:
        return math.prod(flat.tensors[index].shape)

    inputs, outputs = operator.inputs, operator.outputs
    if operator.name == "CONV_2D":
        return size(outputs[0]) * math.prod(flat.tensors[inputs[1]].shape[1:])
    if operator.name == "DEPTHWISE_CONV_2D":
        return size(outputs[0]) * math.prod(flat.tensors[inputs[1]].shape[1:3])
    if operator.name == "TRANSPOSE_CONV":
        weights = flat.tensors[inputs[1]].shape
        return size(inputs[2]) * math.prod(weights[:3])
    if operator.name == "FULLY_CONNECTED":
        return size(outputs[0]) * math.prod(flat.tensors[inputs[1]].shape[1:])
    if operator.name == "BATCH_MATMUL":
        shape = flat.tensors[inputs[0]].shape
        return size(outputs[0]) * (shape[-2] if getattr(operator.options, "adjX", False) else shape[-1])
    return None if operator.name.startswith(_UNCOUNTED) else 0
