"""The values of a download: the file that is wanted, and a piece of it as some source brought it."""

from __future__ import annotations

from dataclasses import dataclass

from contracts import codec
from contracts.chunks import chunk_length


@dataclass(frozen=True)
class Piece:
    """A chunk that nobody has checked yet."""

    index: int
    payload: bytes | memoryview


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
