"""Keeps what sources bring of one file: checks every chunk, writes it, and sees to the device's byte rate and hours."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import anyio

from agent.control.ports.files import Incoming
from agent.core.pieces import Kept, Piece, WantedFile
from contracts.chunks import Bitmap
from contracts.pace import Budget, Hours

# The hours are looked at again after this, because a device's clock may be set meanwhile.
LOOK_AGAIN_S = 60.0

log = logging.getLogger(__name__)


class Pace:
    """What all downloads of a device share: its byte rate, and its hours."""

    def __init__(self, bytes_per_s: float, hours: Hours | None) -> None:
        """A rate of 0, or no hours, are no limit."""
        self._budget = Budget(bytes_per_s, at_s=time.monotonic())
        self._hours = hours

    def spend(self, size: int) -> None:
        """Take note of bytes that came."""
        self._budget = self._budget.at(time.monotonic()).spend(size)

    def ask_in_s(self) -> float:
        """Return how long nothing more may be asked for; 0 for now."""
        closed_s = 0.0 if self._hours is None else self._hours.opens_in_s(datetime.now().astimezone())
        return max(min(closed_s, LOOK_AGAIN_S), self._budget.at(time.monotonic()).wait_s)


class FileBasket:
    """One file on its way."""

    def __init__(self, wanted: WantedFile, incoming: Incoming, missing: Bitmap, pace: Callable[[], Pace]) -> None:
        """Collect in `incoming`, where `missing` is not yet; `pace` is the one of now."""
        self.wanted = wanted
        self.missing = missing
        # When the newest chunk that was wanted came; monotonic seconds.
        self.grown_at_s = time.monotonic()
        self.on_bytes: Callable[[int], None] = lambda _: None
        self._incoming = incoming
        self._pace = pace

    def keep(self, piece: Piece) -> Kept:
        """Write a piece that is wanted and right; raise OSError. For one thread at a time, any thread; `count` comes after it."""
        size = len(piece.payload)
        if piece.index not in self.missing:
            return Kept(size)
        if not self.wanted.is_right(piece):
            log.warning("a chunk of %s is not what its digest says; asking again", self.wanted.digest)
            return Kept(size, is_wrong=True)
        missing = self.missing.without(piece.index)
        self._incoming.write(self.wanted.digest, piece.index, piece.payload, missing)
        self.missing = missing
        return Kept(size, is_new=True)

    def count(self, kept: Sequence[Kept], *, is_local: bool = False) -> int:
        """Take note of what was kept, on the event loop; return how many pieces were wrong. What is local came over no link."""
        if not is_local:
            self._pace().spend(sum(each.size for each in kept))
        new = sum(each.size for each in kept if each.is_new)
        if any(each.is_new for each in kept):
            self.grown_at_s = time.monotonic()
            self.on_bytes(new)
        return sum(each.is_wrong for each in kept)

    async def put(self, pieces: Sequence[Piece], *, is_local: bool = False) -> int:
        """Keep and count pieces beside the event loop; return how many were wrong."""
        # Bytes that were written count, also when the work they were for is called off meanwhile.
        with anyio.CancelScope(shield=True):
            kept = await anyio.to_thread.run_sync(lambda: [self.keep(piece) for piece in pieces])
        return self.count(kept, is_local=is_local)

    def ask_in_s(self) -> float:
        """Return how long the device's byte rate and hours forbid to ask for more; 0 for now."""
        return self._pace().ask_in_s()
