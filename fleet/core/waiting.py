"""Decides which chunks to publish next, so that one publication feeds every device that waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

# A chunk that went out this recently may still be on its way to whoever asks for it now.
REPEAT_AFTER_S = 1.0


@dataclass(frozen=True)
class ChunkRef:
    """One piece of one file."""

    digest: str
    index: int


@dataclass
class WaitingRoom:
    """The newest want of each device; times are monotonic seconds."""

    _wanted: dict[str, set[ChunkRef]] = field(default_factory=dict)
    _sent_at: dict[ChunkRef, float] = field(default_factory=dict)
    # The file that each device asked for last.
    _listens: dict[str, str] = field(default_factory=dict)

    def hear(self, device: str, digest: str, indexes: Sequence[int], now_s: float) -> None:
        """Take a device's newest want; it replaces the one before.

        To one that listened already, a chunk of a moment ago is on its way. One that only joins may have missed it: it waits its turn.
        """
        chunks = {ChunkRef(digest, index) for index in indexes}
        if self._listens.get(device) == digest:
            chunks = {chunk for chunk in chunks if not self._is_on_its_way(chunk, now_s)}
        self._listens[device] = digest
        self._wanted[device] = chunks

    def forget(self, digest: str) -> None:
        """Drop every want for a file that cannot be read."""
        for device, chunks in list(self._wanted.items()):
            self._wanted[device] = {chunk for chunk in chunks if chunk.digest != digest}

    def due(self, now_s: float, limit: int) -> tuple[ChunkRef, ...]:
        """Return up to `limit` chunks to publish now, and take them as published."""
        self._sent_at = {chunk: sent_s for chunk, sent_s in self._sent_at.items() if self._is_on_its_way(chunk, now_s)}
        ready = {chunk for chunk in self._chunks() if chunk not in self._sent_at}
        batch = tuple(sorted(ready, key=lambda chunk: (chunk.index, chunk.digest))[:limit])
        self._sent_at.update(dict.fromkeys(batch, now_s))
        self._wanted = {device: rest for device, chunks in self._wanted.items() if (rest := chunks.difference(batch))}
        return batch

    def is_empty(self) -> bool:
        """Say whether nobody waits."""
        return not self._wanted

    def _is_on_its_way(self, chunk: ChunkRef, now_s: float) -> bool:
        sent_s = self._sent_at.get(chunk)
        return sent_s is not None and now_s - sent_s < REPEAT_AFTER_S

    def _chunks(self) -> Iterator[ChunkRef]:
        for chunks in self._wanted.values():
            yield from chunks
