"""Makes a delta: pairs the weights of two model files, and codes what differs between them and around them."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from contracts import codec as documents
from contracts.delta import stream
from contracts.delta.codec import zipped
from contracts.delta.layout import MAGIC, MAX_RUNS, WORD_BYTES, Header, Range, Run, locate, pieces
from contracts.delta.onnx_weights import onnx_weights
from contracts.delta.tflite_weights import IDENTIFIER, IDENTIFIER_AT, tflite_weights
from contracts.delta.weights import Weights

_LENGTH = struct.Struct("<I")
# Below this a run costs more in the header than it saves.
_MIN_RUN_BYTES = 64


def weights_of(file: memoryview) -> tuple[Weights, ...]:
    """Return the weights of an ONNX or TensorFlow Lite file, in order; none for any other file."""
    return tflite_weights(file) if file[IDENTIFIER_AT] == IDENTIFIER else onnx_weights(file)


def encode(base: bytes, target: bytes) -> bytes:
    """Return a delta that leads from `base` to `target`; it may be larger than `target`."""
    return b"".join(frames(memoryview(base), memoryview(target)))


def encode_into(file: BinaryIO, base: memoryview, target: memoryview, max_bytes: int) -> bool:
    """Write a delta, and say whether it is done; one of more than `max_bytes` is given up half way."""
    written = 0
    for part in frames(base, target):
        written += len(part)
        if written > max_bytes:
            return False
        file.write(part)
    return True


def frames(base: memoryview, target: memoryview) -> Iterator[bytes]:
    """Yield a delta's parts in order."""
    header = Header(
        base=documents.sha256_of(base),
        base_bytes=len(base),
        target=documents.sha256_of(target),
        target_bytes=len(target),
        runs=tuple(_runs(base, target))[:MAX_RUNS],
    )
    yield MAGIC
    yield _framed(zipped(documents.encode(header)))
    places, base_places = header.between(), header.base_between()
    base_bytes = sum(length for _, length in base_places)
    for piece in pieces(sum(length for _, length in places), base_bytes):
        yield _framed(zipped(_read(target, locate(places, piece.target)), _read(base, locate(base_places, piece.prefix))))
    for each in header.streams():
        before = _read(base, (Range(span.base, span.length) for span in each.spans))
        after = _read(target, (Range(span.target, span.length) for span in each.spans))
        yield _framed(stream.encode(each.kind, before, after))


def _runs(base: memoryview, target: memoryview) -> Iterator[Run]:
    for old, new in _pairs(weights_of(base), weights_of(target)):
        length = new.place.length
        if length < _MIN_RUN_BYTES or length % WORD_BYTES[new.kind]:
            continue
        before, after = (file[start : start + length] for file, start in ((base, old.place.start), (target, new.place.start)))
        yield Run(new.place.start, old.place.start, length, "same" if before == after else new.kind)


def _pairs(old: Iterable[Weights], new: Iterable[Weights]) -> Iterator[tuple[Weights, Weights]]:
    """Pair tensors of one kind and size, by name; what a new export named anew, in order."""
    by_name: dict[object, list[Weights]] = defaultdict(list)
    for weights in old:
        by_name[weights.name, weights.kind, weights.place.length].append(weights)
    found = {weights.place: each.pop(0) for weights in new if (each := by_name[weights.name, weights.kind, weights.place.length])}
    by_form: dict[object, list[Weights]] = defaultdict(list)
    for rest in by_name.values():
        for weights in rest:
            by_form[weights.kind, weights.place.length].append(weights)
    for weights in new:
        if weights.place in found:
            yield found[weights.place], weights
        elif each := by_form[weights.kind, weights.place.length]:
            yield each.pop(0), weights


def _read(file: memoryview, places: Iterable[Range]) -> bytes:
    return b"".join(file[start : start + length] for start, length in places)


def _framed(frame: bytes) -> bytes:
    return _LENGTH.pack(len(frame)) + frame
