"""What a source fills: the shape that control gives to every adapter that brings chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.core.pieces import Piece, WantedFile
from contracts.chunks import Bitmap


class Basket(Protocol):
    """One file, each chunk of it checked before it is kept."""

    @property
    def wanted(self) -> WantedFile:
        """Say which file."""

    @property
    def missing(self) -> Bitmap:
        """Say what is not here yet."""

    async def put(self, pieces: Sequence[Piece]) -> int:
        """Keep those that are wanted and right; return how many were wrong."""

    def ask_in_s(self) -> float:
        """Return how long the device's byte rate and hours forbid to ask for more; 0 for now."""
