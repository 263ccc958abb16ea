"""Reads a .tflite file into frozen values, and refuses bytes that do not hang together."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.errors import ModelError
from compiler.importers.files import TFLITE_IDENTIFIER

MAX_ELEMENTS = 1 << 31
# Datatypes of constants that numpy can view; others (strings, 4-bit integers, resources) are named when they are met.
NUMPY_TYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "FLOAT64": "float64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "BOOL": "bool",
}
# What the generated schema raises on bytes that lie about lengths, offsets and types; it checks nothing itself.
_READING_FAULTS = (
    struct.error,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    AssertionError,
)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Quantization:
    """real = (integer - zero point) * scale: one of each, or one for each index along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int

    def real(self, values: Array) -> npt.NDArray[np.float32]:
        """Return the float32 values that integers stand for; raise ValueError when the numbers of scales do not fit."""
        along = [1] * values.ndim
        if len(self.scales) > 1:
            along[self.axis] = len(self.scales)
        scales = np.asarray(self.scales, np.float32).reshape(along)
        zero_points = np.asarray(self.zero_points or (0,), np.int64)
        shifted = values.astype(np.int64) - (zero_points.reshape(along) if zero_points.size > 1 else zero_points[0])
        reals: npt.NDArray[np.float32] = shifted.astype(np.float32) * scales
        return reals.reshape(values.shape)


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph; `data` is there for constants, `free_axes` are those the file leaves open."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    free_axes: frozenset[int]
    data: Array | None
    quantization: Quantization | None
    # A state that operators keep from one inference to the next.
    is_variable: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator: its builtin name, or CUSTOM and the author's name for it; tensor index -1 stands for an input left out."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any

    @property
    def place(self) -> str:
        """Return what errors call it."""
        return f"operator {self.index} {self.name}"


@dataclass(frozen=True)
class FlatModel:
    """The only subgraph of a file, in an order that can be computed."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_flat(raw: bytes, place: str) -> FlatModel:
    """Return a file's graph, every index and length checked; raise ModelError naming what does not hang together."""
    if raw[4:8] != TFLITE_IDENTIFIER:
        raise ModelError(place, "content", f"a TensorFlow Lite model with the identifier {TFLITE_IDENTIFIER.decode()}", "something else")
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.ModelT.InitFromPackedBuf(raw, 0)
        subgraphs = model.subgraphs or []
        if len(subgraphs) != 1:
            found = f"{len(subgraphs)} (control flow, or several signatures); export the one function that is inferred"
            raise ModelError(place, "subgraphs", "exactly one", found)
        flat = _flat(model, subgraphs[0], raw, place, schema)
    except _READING_FAULTS as error:
        found = f"a file cut short or damaged ({type(error).__name__}: {error})"
        raise ModelError(place, "content", "a whole TensorFlow Lite model", found) from error
    _check_order(flat, place)
    return flat


@dataclass(frozen=True)
class _File:
    """What reading one tensor needs of its file."""

    raw: bytes
    place: str
    buffers: Sequence[Any]
    type_names: dict[int, str]


def _flat(model: Any, graph: Any, raw: bytes, place: str, schema: Any) -> FlatModel:
    file = _File(raw, place, model.buffers, _names(schema.TensorType))
    operator_names = _names(schema.BuiltinOperator)
    known_as = _signature_names(model)
    tensors = tuple(_tensor(tensor, known_as.get(index, _text(tensor.name)), file) for index, tensor in enumerate(graph.tensors))
    codes = [_code(code, operator_names) for code in model.operatorCodes]
    operators = tuple(
        Operator(index, codes[found.opcodeIndex], _indices(found.inputs), _indices(found.outputs), found.builtinOptions)
        for index, found in enumerate(graph.operators or [])
    )
    inputs, outputs = _indices(graph.inputs), _indices(graph.outputs)
    return FlatModel(tensors, operators, _as_signed(inputs, known_as), _as_signed(outputs, known_as))


def _names(constants: type) -> dict[int, str]:
    return {value: name for name, value in vars(constants).items() if isinstance(value, int)}


def _code(code: Any, names: dict[int, str]) -> str:
    # Operators above 127 outgrew the first field; older files have only that one.
    number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    return " ".join(filter(None, (names.get(number, f"number {number}"), _text(code.customCode))))


def _signature_names(model: Any) -> dict[int, str]:
    """Return the names by which callers know inputs and outputs, where the file has a signature: `image`, not `serving_default_image:0`.

    They come in the signature's order.
    """
    signatures = model.signatureDefs or []
    return {int(ends.tensorIndex): _text(ends.name) for one in signatures for ends in (*(one.inputs or []), *(one.outputs or []))}


def _as_signed(ends: tuple[int, ...], known_as: dict[int, str]) -> tuple[int, ...]:
    """Return inputs or outputs in the signature's order, where it names them all: converters write them down in any."""
    return tuple(index for index in known_as if index in ends) if set(ends) <= known_as.keys() else ends


def _tensor(tensor: Any, name: str, file: _File) -> Tensor:
    place, shape = file.place, _integers(tensor.shape)
    if any(n < 0 for n in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise ModelError(place, f"tensor {name}", f"sizes from 0, and at most {MAX_ELEMENTS} elements", str(list(shape)))
    if tensor.sparsity is not None:
        raise ModelError(place, f"tensor {name}", "a dense tensor", "a sparse one; export the model without sparsity")
    datatype = file.type_names.get(int(tensor.type), f"number {tensor.type}")
    signature = _integers(tensor.shapeSignature)
    free = frozenset(axis for axis, n in enumerate(signature) if n < 0) if len(signature) == len(shape) else frozenset()
    data = _data(file.buffers[tensor.buffer], file.raw, datatype, shape, f"{place}: tensor {name}")
    return Tensor(name, datatype, shape, free, data, _quantization(tensor.quantization, shape), bool(tensor.isVariable))


def _data(buffer: Any, raw: bytes, datatype: str, shape: tuple[int, ...], place: str) -> Array | None:
    """Return a constant's values; None for a tensor that is computed."""
    content = bytes(buffer.data) if buffer.data is not None else b""
    if not content and buffer.offset > 1:  # files of more than 2 GB keep their constants behind the flatbuffer
        content = raw[buffer.offset : buffer.offset + buffer.size]
    if not content:
        return None
    if datatype not in NUMPY_TYPES:
        raise ModelError(place, "datatype", f"one of {', '.join(NUMPY_TYPES)}", datatype)
    dtype = np.dtype(NUMPY_TYPES[datatype])
    expected = math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise ModelError(place, "constant", f"{expected} bytes for {list(shape)} {datatype}", f"{len(content)} bytes")
    return np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _quantization(found: Any, shape: tuple[int, ...]) -> Quantization | None:
    if found is None or found.scale is None or not len(found.scale):
        return None
    scales, axis = tuple(float(scale) for scale in found.scale), int(found.quantizedDimension)
    if len(scales) > 1 and (not 0 <= axis < len(shape) or shape[axis] != len(scales)):
        raise ValueError(f"{len(scales)} scales along axis {axis} of {list(shape)}")
    return Quantization(scales, _integers(found.zeroPoint), axis)


def _check_order(flat: FlatModel, place: str) -> None:
    """Check that every tensor is known before it is read, and is computed once."""
    known = {index for index, tensor in enumerate(flat.tensors) if tensor.data is not None or tensor.is_variable}
    known |= set(_inside(flat.inputs, flat, place, "inputs"))
    given = frozenset(known)
    for operator in flat.operators:
        read = set(_inside((index for index in operator.inputs if index != -1), flat, place, operator.place))
        if unknown := read - known:
            found = f"{operator.place} reading {flat.tensors[min(unknown)].name} first"
            raise ModelError(place, "graph", "operators in an order that can be computed", found)
        made = set(_inside(operator.outputs, flat, place, operator.place))
        if made & known or len(made) != len(operator.outputs):
            raise ModelError(place, "graph", "every tensor computed once", f"{operator.place} computing one again")
        known |= made
    if not flat.outputs or not set(_inside(flat.outputs, flat, place, "outputs")) <= known - given:
        raise ModelError(place, "graph", "operators that compute the outputs", "none")


def _inside(indices: Iterable[int], flat: FlatModel, place: str, field: str) -> list[int]:
    found = list(indices)
    for index in found:
        if not 0 <= index < len(flat.tensors):
            raise ModelError(place, field, f"tensor numbers below {len(flat.tensors)}", str(index))
    return found


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _integers(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


_indices = _integers
