"""What a source fills: the shape that control gives to every adapter that brings chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.core.pieces import Kept, Piece, WantedFile
from contracts.chunks import Bitmap


class Basket(Protocol):
    """One file, each chunk of it checked before it is kept."""

    @property
    def wanted(self) -> WantedFile:
        """Say which file."""

    @property
    def missing(self) -> Bitmap:
        """Say what is not here yet."""

    def keep(self, piece: Piece) -> Kept:
        """Write a piece that is wanted and right; raise OSError. For one thread at a time, any thread; `count` comes after it."""

    def count(self, kept: Sequence[Kept]) -> int:
        """Take note of what was kept, on the event loop; return how many pieces were wrong."""

    async def put(self, pieces: Sequence[Piece], *, is_local: bool = False) -> int:
        """Keep and count pieces beside the event loop; return how many were wrong."""

    def ask_in_s(self) -> float:
        """Return how long the device's byte rate and hours forbid to ask for more; 0 for now."""
