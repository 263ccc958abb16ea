"""Finds the weights in an ONNX file, by the wire format of protocol buffers alone: no library, no copy, any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from contracts.delta.layout import Range, Word
from contracts.delta.weights import Weights

# Field numbers of onnx.proto: ModelProto.graph, GraphProto.node and .initializer, NodeProto.attribute, AttributeProto.t; TensorProto's.
_GRAPH, _NODE, _INITIALIZER, _ATTRIBUTE, _ATTRIBUTE_TENSOR = 7, 1, 5, 5, 5
_DATA_TYPE, _NAME, _RAW_DATA = 2, 8, 9
# TensorProto.DataType.
_WORDS: Mapping[int, Word] = {
    1: "f32",
    10: "f16",
    11: "f64",
    16: "bf16",
    # Signed, unsigned, truth; floats of eight bits; two words of four bits in one byte.
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 21, 22, 23, 24), "i8"),
    **dict.fromkeys((4, 5), "i16"),
    **dict.fromkeys((6, 12), "i32"),
    **dict.fromkeys((7, 13), "i64"),
}


class _NoProtobufError(Exception):
    """What was taken for a message is none."""


def onnx_weights(raw: memoryview) -> tuple[Weights, ...]:
    """Return the tensors of an ONNX file that lie in it as plain little-endian words, in order; none for any other file."""
    try:
        return tuple(_weights(raw))
    except _NoProtobufError:
        return ()


def _weights(model: memoryview) -> Iterator[Weights]:
    for graph in _messages(model, Range(0, len(model)), _GRAPH):
        for field, place in _fields(model, graph):
            if field == _INITIALIZER:
                yield from _tensor(model, place)
            elif field == _NODE:
                for attribute in _messages(model, place, _ATTRIBUTE):
                    for tensor in _messages(model, attribute, _ATTRIBUTE_TENSOR):
                        yield from _tensor(model, tensor)


def _tensor(model: memoryview, message: Range) -> Iterator[Weights]:
    name, data_type, data = "", 0, None
    for field, place in _fields(model, message):
        if field == _NAME:
            name = bytes(model[place.start : place.start + place.length]).decode("utf-8", "replace")
        elif field == _DATA_TYPE and place.length <= 0:
            data_type = -place.length
        elif field == _RAW_DATA:
            data = place
    if data is not None and data.length > 0 and data_type in _WORDS:
        yield Weights(name, _WORDS[data_type], data)


def _messages(model: memoryview, message: Range, field: int) -> Iterator[Range]:
    return (place for found, place in _fields(model, message) if found == field and place.length > 0)


def _fields(model: memoryview, message: Range) -> Iterator[tuple[int, Range]]:
    """Yield each field's number and place; a number that is no message is its own negative length."""
    position, end = message.start, message.start + message.length
    while position < end:
        key, position = _varint(model, position, end)
        wire_type = key & 7
        length = 0
        if wire_type == 0:
            value, position = _varint(model, position, end)
            yield key >> 3, Range(position, -value)
        elif wire_type == 2:
            length, position = _varint(model, position, end)
            if position + length > end:
                raise _NoProtobufError
            yield key >> 3, Range(position, length)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise _NoProtobufError
        position += length


def _varint(model: memoryview, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = model[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise _NoProtobufError
