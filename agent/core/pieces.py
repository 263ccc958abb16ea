"""The values of a download: the file that is wanted, and a piece of it as some source brought it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from contracts import codec
from contracts.chunks import chunk_length


@dataclass(frozen=True)
class Piece:
    """A chunk that nobody has checked yet."""

    index: int
    payload: bytes | memoryview


@dataclass(frozen=True)
class Kept:
    """What became of a piece: the bytes that came, and whether they were new, or not what their digest says."""

    size: int
    is_new: bool = False
    is_wrong: bool = False


# What became of a message: a chunk that was kept, a document to be read, or why it could not be kept.
Found: TypeAlias = Kept | bytes | OSError
# Called on the connection's own thread with a message's topic and payload, which is the next one's when it returns; it raises nothing.
Taker: TypeAlias = Callable[[str, memoryview], Found | None]


@dataclass(frozen=True)
class WantedFile:
    """A file by its identity; without chunk digests only the whole can be checked."""

    digest: str
    size: int
    chunks: tuple[str, ...] | None

    def is_right(self, piece: Piece) -> bool:
        """Say whether a piece, whose index is one of the file's, has the bytes that its digest names."""
        if len(piece.payload) != chunk_length(self.size, piece.index):
            return False
        return self.chunks is None or codec.sha256_of(piece.payload) == self.chunks[piece.index]
