"""Writes a graph as a `.tflite` flatbuffer: the same graph gives the same bytes, and nothing is written twice."""

# LiteRT's schema comes from ai-edge-litert rather than from the smaller package `tflite`, because the gate runs every file in that
# same runtime, so it is installed anyway and both follow one version of the schema; importing the schema loads no native code.
from __future__ import annotations

from typing import TypeAlias

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from compiler.lower.tflite.ir import Array
from compiler.lower.tflite.kinds import FACTS, Kind
from compiler.lower.tflite.stored import Params, Stored, StoredGraph, StoredOp

SCHEMA_VERSION = 3
IDENTIFIER = b"TFL3"
DESCRIPTION = "fieldfare"
# The schema asks for it ("force_align: 16"), and runtimes that map the file read constants where they lie.
BUFFER_ALIGNMENT = 16
# Operators that came later have no place in the field that older runtimes read.
LAST_OLD_CODE = 127

Offset: TypeAlias = int


def written(graph: StoredGraph) -> bytes:
    """Return the file."""
    return _Writer(graph).write()


class _Writer:
    """One file in the making. Flatbuffers are written back to front, each vector before the table that points to it."""

    def __init__(self, graph: StoredGraph) -> None:
        self._graph = graph
        self._builder = flatbuffers.Builder(1 << 16)
        self._vectors: dict[tuple[str, bytes], Offset] = {}
        self._tensors = tensors_of(graph)
        self._places = {tensor: place for place, tensor in enumerate(self._tensors)}
        self._names = _names(graph, self._tensors)
        self._data: dict[bytes, int] = {}
        self._codes: dict[tuple[Kind, int], int] = {}

    def write(self) -> bytes:
        """Return the whole file."""
        for tensor in self._tensors:
            if tensor.values is not None:
                self._data.setdefault(_bytes(tensor.values), len(self._data) + 1)
        for op in self._graph.ops:
            self._codes.setdefault((op.kind, op.version), len(self._codes))
        buffers = self._tables([self._buffer(data) for data in (b"", *self._data)])
        codes = self._tables([self._code(kind, version) for kind, version in self._codes])
        subgraphs = self._tables([self._subgraph()])
        description = self._builder.CreateString(DESCRIPTION)
        schema.ModelStart(self._builder)
        schema.ModelAddVersion(self._builder, SCHEMA_VERSION)
        schema.ModelAddOperatorCodes(self._builder, codes)
        schema.ModelAddSubgraphs(self._builder, subgraphs)
        schema.ModelAddDescription(self._builder, description)
        schema.ModelAddBuffers(self._builder, buffers)
        self._builder.Finish(schema.ModelEnd(self._builder), IDENTIFIER)
        return bytes(self._builder.Output())

    def _subgraph(self) -> Offset:
        tensors = self._tables([self._tensor(tensor) for tensor in self._tensors])
        operators = self._tables([self._operator(op) for op in self._graph.ops])
        inputs = self._places_of(self._graph.inputs)
        outputs = self._places_of(tuple(tensor for _, tensor in self._graph.outputs))
        name = self._builder.CreateString("main")
        schema.SubGraphStart(self._builder)
        schema.SubGraphAddTensors(self._builder, tensors)
        schema.SubGraphAddInputs(self._builder, inputs)
        schema.SubGraphAddOutputs(self._builder, outputs)
        schema.SubGraphAddOperators(self._builder, operators)
        schema.SubGraphAddName(self._builder, name)
        return int(schema.SubGraphEnd(self._builder))

    def _buffer(self, data: bytes) -> Offset:
        vector = None
        if data:
            self._builder.StartVector(1, len(data), BUFFER_ALIGNMENT)
            self._builder.head -= len(data)
            self._builder.Bytes[self._builder.head : self._builder.head + len(data)] = data
            vector = self._builder.EndVector()
        schema.BufferStart(self._builder)
        if vector is not None:
            schema.BufferAddData(self._builder, vector)
        return int(schema.BufferEnd(self._builder))

    def _code(self, kind: Kind, version: int) -> Offset:
        code = getattr(schema.BuiltinOperator, kind.name)
        schema.OperatorCodeStart(self._builder)
        schema.OperatorCodeAddDeprecatedBuiltinCode(self._builder, min(code, LAST_OLD_CODE))
        schema.OperatorCodeAddVersion(self._builder, version)
        schema.OperatorCodeAddBuiltinCode(self._builder, code)
        return int(schema.OperatorCodeEnd(self._builder))

    def _tensor(self, tensor: Stored) -> Offset:
        shape = self._vector(np.asarray(tensor.shape, np.int32))
        name = self._builder.CreateSharedString(self._names[tensor])
        quantization = None if tensor.params is None else self._quantization(tensor.params)
        schema.TensorStart(self._builder)
        schema.TensorAddShape(self._builder, shape)
        schema.TensorAddType(self._builder, getattr(schema.TensorType, tensor.element.name))
        schema.TensorAddBuffer(self._builder, 0 if tensor.values is None else self._data[_bytes(tensor.values)])
        schema.TensorAddName(self._builder, name)
        if quantization is not None:
            schema.TensorAddQuantization(self._builder, quantization)
        return int(schema.TensorEnd(self._builder))

    def _quantization(self, params: Params) -> Offset:
        scales = self._vector(np.asarray(params.scales, np.float32))
        # All zeros but for a single one: tensors of as many channels share the vector, which takes twice the room of their scales.
        zero_points = self._vector(np.full(len(params.scales), params.zero_point, np.int64))
        schema.QuantizationParametersStart(self._builder)
        schema.QuantizationParametersAddScale(self._builder, scales)
        schema.QuantizationParametersAddZeroPoint(self._builder, zero_points)
        schema.QuantizationParametersAddQuantizedDimension(self._builder, params.axis)
        return int(schema.QuantizationParametersEnd(self._builder))

    def _operator(self, op: StoredOp) -> Offset:
        inputs, outputs = self._places_of(op.inputs), self._places_of(op.outputs)
        table = FACTS[op.kind].options
        options = None if table is None else self._options(table, op)
        schema.OperatorStart(self._builder)
        schema.OperatorAddOpcodeIndex(self._builder, self._codes[op.kind, op.version])
        schema.OperatorAddInputs(self._builder, inputs)
        schema.OperatorAddOutputs(self._builder, outputs)
        if options is not None:
            schema.OperatorAddBuiltinOptionsType(self._builder, getattr(schema.BuiltinOptions, str(table)))
            schema.OperatorAddBuiltinOptions(self._builder, options)
        return int(schema.OperatorEnd(self._builder))

    def _options(self, table: str, op: StoredOp) -> Offset:
        options = getattr(schema, f"{table}T")()
        for field, value in op.options.items():
            assert hasattr(options, field), f"{table} has no {field}"
            setattr(options, field, value)
        return int(options.Pack(self._builder))

    def _places_of(self, tensors: tuple[Stored, ...]) -> Offset:
        return self._vector(np.asarray([self._places[tensor] for tensor in tensors], np.int32))

    def _vector(self, values: Array) -> Offset:
        """Return a vector of numbers; equal ones are written once."""
        key = (values.dtype.name, values.tobytes())
        if key not in self._vectors:
            self._vectors[key] = self._builder.CreateNumpyVector(values)
        return self._vectors[key]

    def _tables(self, offsets: list[Offset]) -> Offset:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())


def tensors_of(graph: StoredGraph) -> list[Stored]:
    """Return every tensor once, in the order of use, which is the file's."""
    used = [*graph.inputs, *(tensor for op in graph.ops for tensor in (*op.inputs, *op.outputs)), *(tensor for _, tensor in graph.outputs)]
    return list(dict.fromkeys(used))


def _names(graph: StoredGraph, tensors: list[Stored]) -> dict[Stored, str]:
    """Return a name for each tensor, the model's own for its inputs and outputs; constants need none."""
    names = {tensor: tensor.name for tensor in graph.inputs} | {tensor: name for name, tensor in graph.outputs}
    taken = set(names.values())
    for tensor in tensors:
        if tensor in names:
            continue
        name, count = tensor.name if tensor.values is None else "", 1
        while name in taken and name:
            count += 1
            name = f"{tensor.name}:{count}"
        names[tensor] = name
        taken.add(name)
    return names


def _bytes(values: Array) -> bytes:
    """Return numbers as the file holds them: little-endian, the last axis fastest."""
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
