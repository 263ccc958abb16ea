"""Applies a delta: reads parts of the base, writes parts of the target, and holds a few of them at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO

from contracts import codec as documents
from contracts.codec import READ_BYTES, sha256_of_stream
from contracts.delta import stream
from contracts.delta.codec import inflated
from contracts.delta.layout import MAGIC, MAX_FRAME_BYTES, MAX_HEADER_BYTES, Header, Range, locate, pieces, read_at
from contracts.errors import MalformedDeltaError, TamperedError

_LENGTH = struct.Struct("<I")


def apply(base: BinaryIO, delta: BinaryIO, target: BinaryIO, sha256: str, max_bytes: int) -> None:
    """Write into the empty `target` the file that `sha256` names, of at most `max_bytes`; all three can be sought, `target` also read.

    Raises MalformedDeltaError, or TamperedError when the result has another digest; `target` is then worthless.
    """
    header = read_header(delta)
    if header.target != sha256 or header.target_bytes > max_bytes:
        raise MalformedDeltaError("target", f"{sha256} of at most {max_bytes} bytes", f"{header.target} of {header.target_bytes}")
    base_size = base.seek(0, 2)
    if base_size != header.base_bytes:
        raise MalformedDeltaError("base", f"{header.base_bytes} bytes", str(base_size))
    target.truncate(header.target_bytes)
    _fill_between(header, base, delta, target)
    _copy_unchanged(header, base, target)
    _fill_changed(header, base, delta, target)
    if delta.read(1):
        raise MalformedDeltaError("end", "no more bytes", "some")
    target.seek(0)
    found = sha256_of_stream(target)
    if found != sha256:
        raise TamperedError("delta", sha256, found)


def read_header(delta: BinaryIO) -> Header:
    """Read the beginning of a delta; raise a ContractError."""
    magic = delta.read(len(MAGIC))
    if magic != MAGIC:
        raise MalformedDeltaError("magic", repr(MAGIC), repr(magic))
    raw = inflated(_frame(delta, MAX_HEADER_BYTES), MAX_HEADER_BYTES, "header")
    return documents.decode(Header, raw, name="delta header", max_bytes=MAX_HEADER_BYTES)


def _fill_between(header: Header, base: BinaryIO, delta: BinaryIO, target: BinaryIO) -> None:
    places, base_places = header.between(), header.base_between()
    base_bytes = sum(length for _, length in base_places)
    for piece in pieces(sum(length for _, length in places), base_bytes):
        prefix = read_at(base, locate(base_places, piece.prefix), "base")
        raw = inflated(_frame(delta, MAX_FRAME_BYTES), piece.target.length, "piece", prefix)
        if len(raw) != piece.target.length:
            raise MalformedDeltaError("piece", f"{piece.target.length} bytes", str(len(raw)))
        _write(target, raw, locate(places, piece.target))


def _copy_unchanged(header: Header, base: BinaryIO, target: BinaryIO) -> None:
    for run in header.runs:
        if run.kind != "same":
            continue
        for done in range(0, run.length, READ_BYTES):
            length = min(READ_BYTES, run.length - done)
            _write(target, read_at(base, [Range(run.base + done, length)], "base"), [Range(run.target + done, length)])


def _fill_changed(header: Header, base: BinaryIO, delta: BinaryIO, target: BinaryIO) -> None:
    for each in header.streams():
        before = read_at(base, (Range(span.base, span.length) for span in each.spans), "base")
        after = stream.decode(each.kind, before, _frame(delta, MAX_FRAME_BYTES))
        _write(target, after, (Range(span.target, span.length) for span in each.spans))


def _write(target: BinaryIO, raw: bytes, places: Iterable[Range]) -> None:
    position = 0
    for start, length in places:
        target.seek(start)
        target.write(memoryview(raw)[position : position + length])
        position += length


def _frame(delta: BinaryIO, max_bytes: int) -> bytes:
    head = delta.read(_LENGTH.size)
    if len(head) != _LENGTH.size:
        raise MalformedDeltaError("frame", "a length", "the end")
    length = _LENGTH.unpack(head)[0]
    if length > max_bytes:
        raise MalformedDeltaError("frame", f"at most {max_bytes} bytes", str(length))
    frame = delta.read(length)
    if len(frame) != length:
        raise MalformedDeltaError("frame", f"{length} bytes", str(len(frame)))
    return frame
