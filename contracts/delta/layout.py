"""Decides how a delta divides two files: runs of weights, the bytes between them, and the pieces in which both are coded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, BinaryIO, Literal, NamedTuple

from pydantic import BaseModel, Field

from contracts.chunks import MAX_FILE_BYTES
from contracts.errors import MalformedDeltaError
from contracts.names import Sha256

MAGIC = b"ffd1"
MAX_HEADER_BYTES = 4 << 20
MAX_RUNS = 1 << 16
# What one stream of changed words, or one piece of other bytes, covers of the target: it bounds the memory that a delta takes.
STREAM_BYTES = 1 << 20
PIECE_BYTES = 1 << 20
# A coded stream is never larger than its words, levels and tables.
MAX_FRAME_BYTES = 2 * STREAM_BYTES + (1 << 18)

# How words are read: two's complement, or IEEE 754 and bfloat16 by sign, exponent and fraction.
Word = Literal["i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64"]
WORD_BYTES: dict[Word, int] = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8}
Offset = Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]


class Range(NamedTuple):
    """Bytes from `start`, `length` of them."""

    start: int
    length: int


class Run(NamedTuple):
    """`length` bytes of the target that come from as many of the base: unchanged, or by the differences of their words."""

    target: Offset
    base: Offset
    length: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]
    kind: Word | Literal["same"]


class Header(BaseModel, frozen=True, extra="forbid"):
    """Between which files a delta leads, and the runs that they share, in the target's order."""

    version: Literal[1] = 1
    base: Sha256
    base_bytes: Offset
    target: Sha256
    target_bytes: Offset
    runs: Annotated[tuple[Run, ...], Field(max_length=MAX_RUNS)]

    def between(self) -> tuple[Range, ...]:
        """Return the target's ranges outside all runs; raise MalformedDeltaError where runs overlap."""
        return complement((Range(run.target, run.length) for run in self.runs), self.target_bytes)

    def base_between(self) -> tuple[Range, ...]:
        """Return the base's ranges outside all runs; raise MalformedDeltaError where runs overlap."""
        return complement(sorted(Range(run.base, run.length) for run in self.runs), self.base_bytes)

    def streams(self) -> Iterator[Stream]:
        """Yield the streams of changed words in their order; raise MalformedDeltaError for part of a word."""
        for kind, width in WORD_BYTES.items():
            spans: list[Run] = []
            room = STREAM_BYTES
            for run in self.runs:
                if run.kind != kind:
                    continue
                if run.length % width:
                    raise MalformedDeltaError("run", f"whole words of {width} bytes", f"{run.length} bytes")
                done = 0
                while done < run.length:
                    length = min(room, run.length - done)
                    spans.append(Run(run.target + done, run.base + done, length, kind))
                    done, room = done + length, room - length
                    if not room:
                        yield Stream(kind, tuple(spans))
                        spans, room = [], STREAM_BYTES
            if spans:
                yield Stream(kind, tuple(spans))


@dataclass(frozen=True)
class Stream:
    """Changed words that are coded together."""

    kind: Word
    spans: tuple[Run, ...]


@dataclass(frozen=True)
class Piece:
    """A part of the target's other bytes, and the part of the base's other bytes that it most likely looks like."""

    target: Range
    prefix: Range


def complement(taken: Iterable[Range], size: int) -> tuple[Range, ...]:
    """Return what ordered ranges leave of `size` bytes; raise MalformedDeltaError unless they are ordered, disjoint and inside."""
    free: list[Range] = []
    end = 0
    for start, length in taken:
        if start < end or start + length > size:
            raise MalformedDeltaError("runs", f"a range from {end} on, within {size} bytes", f"{length} bytes from {start}")
        if start > end:
            free.append(Range(end, start - end))
        end = start + length
    if size > end:
        free.append(Range(end, size - end))
    return tuple(free)


def pieces(target_bytes: int, base_bytes: int) -> Iterator[Piece]:
    """Cut other bytes into pieces; each has half a piece of the base's other bytes more on either side than its own place."""
    for start in range(0, target_bytes, PIECE_BYTES):
        length = min(PIECE_BYTES, target_bytes - start)
        first = min(max(0, start - PIECE_BYTES // 2), max(0, base_bytes - 2 * PIECE_BYTES))
        yield Piece(Range(start, length), Range(first, min(2 * PIECE_BYTES, base_bytes - first)))


def locate(ranges: tuple[Range, ...], part: Range) -> Iterator[Range]:
    """Yield the ranges of a file that hold `part` of all the bytes in `ranges`."""
    skip, left = part
    for start, length in ranges:
        if skip >= length:
            skip -= length
            continue
        if not left:
            return
        taken = min(length - skip, left)
        yield Range(start + skip, taken)
        skip, left = 0, left - taken


def read_at(file: BinaryIO, where: Iterable[Range], name: str) -> bytes:
    """Read ranges of a file, one after the other; raise MalformedDeltaError past its end."""
    parts = []
    for start, length in where:
        file.seek(start)
        part = file.read(length)
        if len(part) != length:
            raise MalformedDeltaError(name, f"{length} bytes at {start}", f"{len(part)}")
        parts.append(part)
    return b"".join(parts)
