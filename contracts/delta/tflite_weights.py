"""Finds the weights in a TensorFlow Lite file, by the wire format of FlatBuffers alone: no library, no copy, any size."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from contracts.delta.layout import WORD_BYTES, Range, Word
from contracts.delta.weights import Weights

IDENTIFIER = b"TFL3"
# Where a file names its form (flatbuffers.dev, "File identifiers").
IDENTIFIER_AT = slice(4, 8)
# Field numbers of LiteRT's schema.fbs: Model.subgraphs and .buffers, SubGraph.tensors, Tensor's, Buffer's.
_SUBGRAPHS, _BUFFERS, _TENSORS = 2, 4, 0
_TYPE, _BUFFER, _NAME = 1, 2, 3
_DATA, _OFFSET, _SIZE = 0, 1, 2
# TensorType.
_WORDS: Mapping[int, Word] = {
    0: "f32",
    1: "f16",
    10: "f64",
    18: "bf16",
    # Unsigned, truth, signed; two words of four bits in one byte.
    **dict.fromkeys((3, 6, 9, 17), "i8"),
    **dict.fromkeys((7, 16), "i16"),
    **dict.fromkeys((2, 15), "i32"),
    **dict.fromkeys((4, 12), "i64"),
}
_U8, _U16, _U32, _I32, _U64 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<i", "<Q"))


class _NoModelError(Exception):
    """What was taken for a model is none."""


def tflite_weights(raw: memoryview) -> tuple[Weights, ...]:
    """Return the tensors of a .tflite file that lie in it as plain little-endian words, in the file's order; none for any other file."""
    try:
        found = list(_Reader(raw).weights())
    except _NoModelError:
        return ()
    disjoint: list[Weights] = []
    for weights in sorted(found, key=lambda each: each.place):
        if not disjoint or weights.place.start >= sum(disjoint[-1].place):
            disjoint.append(weights)
    return tuple(disjoint)


class _Reader:
    """Follows offsets, none of which is believed."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        # A lying file may name the same tensors over and over; no real one has more than fit into its bytes.
        self._left = len(raw) // _U32.size

    def weights(self) -> Iterator[Weights]:
        model = self._follow(0)
        buffers = list(self._tables(model, _BUFFERS))
        for graph in self._tables(model, _SUBGRAPHS):
            for tensor in self._tables(graph, _TENSORS):
                number, kind = self._scalar(tensor, _BUFFER, _U32), _WORDS.get(self._scalar(tensor, _TYPE, _U8))
                if kind is None or not 0 < number < len(buffers):  # buffer 0 is always empty
                    continue
                place = self._place(buffers[number])
                if place.length and not place.length % WORD_BYTES[kind]:
                    yield Weights(self._text(tensor, _NAME), kind, place)

    def _place(self, buffer: int) -> Range:
        """Return where a buffer's bytes lie: within its table, or for large models somewhere behind all tables."""
        vector = self._field(buffer, _DATA)
        if vector:
            start = self._follow(vector)
            place = Range(start + _U32.size, self._number(_U32, start))
        else:
            place = Range(self._scalar(buffer, _OFFSET, _U64), self._scalar(buffer, _SIZE, _U64))
        if sum(place) > len(self._raw):
            raise _NoModelError
        return place

    def _text(self, table: int, field: int) -> str:
        place = self._field(table, field)
        if not place:
            return ""
        start = self._follow(place)
        length = self._number(_U32, start)
        return bytes(self._raw[start + _U32.size : start + _U32.size + min(length, 1000)]).decode("utf-8", "replace")

    def _tables(self, table: int, field: int) -> Iterator[int]:
        """Yield the tables of a vector."""
        place = self._field(table, field)
        if not place:
            return
        start = self._follow(place)
        count = self._number(_U32, start)
        self._left -= count
        if self._left < 0:
            raise _NoModelError
        yield from (self._follow(start + _U32.size * (1 + number)) for number in range(count))

    def _scalar(self, table: int, field: int, form: struct.Struct) -> int:
        place = self._field(table, field)
        return self._number(form, place) if place else 0

    def _field(self, table: int, field: int) -> int:
        """Return where a table's field lies; 0 for one that is left out."""
        fields = table - self._number(_I32, table)
        slot = 2 * (2 + field)  # its table of fields begins with two sizes
        offset = self._number(_U16, fields + slot) if slot < self._number(_U16, fields) else 0
        return table + offset if offset else 0

    def _follow(self, place: int) -> int:
        return place + self._number(_U32, place)

    def _number(self, form: struct.Struct, place: int) -> int:
        if not 0 <= place <= len(self._raw) - form.size:
            raise _NoModelError
        return int(form.unpack_from(self._raw, place)[0])
