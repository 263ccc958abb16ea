"""Publishes the chunks that devices want, each once for all who wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_count, chunk_length
from contracts.errors import ContractError, InvalidDocumentError
from contracts.messages import Want
from contracts.topics import of_chunk, of_every_device
from fleet.core.waiting import ChunkRef, WaitingRoom
from fleet.errors import LinkDownError, UnknownArtifactError
from fleet.south.ingest import Source, read_uplink
from fleet.south.mqtt import Received
from fleet.south.poison import Poison
from fleet.wall_clock import utc_now

TOPICS = (of_every_device("want"),)
# Chunks on their way to the broker at one time: 8 MiB.
BATCH_CHUNKS = 32
WANTS_PER_TURN = 200
IDLE_PATIENCE_S = 0.25
# Somebody waits for a chunk that went out a moment ago.
BUSY_PATIENCE_S = 0.02

log = logging.getLogger("fleet.delivery")


class Link(Source, Protocol):
    """The broker."""

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish and wait for the acknowledgement; raise LinkDownError."""


class Files(Protocol):
    """Files by digest."""

    def size_of(self, sha256: str) -> int | None:
        """Return a file's bytes; None when it is not here."""

    def read(self, sha256: str, start: int, length: int) -> bytes:
        """Return a part of a file; raise UnknownArtifactError."""


class Delivery:
    """The loop from wants to chunks."""

    def __init__(self, link: Link, files: Files) -> None:
        """Nothing is read before `turn`."""
        self._link = link
        self._files = files
        self._room = WaitingRoom()
        self._poison = Poison(log)

    def turn(self) -> None:
        """Hear wants, then publish some of the chunks that are due."""
        patience_s = IDLE_PATIENCE_S if self._room.is_empty() else BUSY_PATIENCE_S
        for received in self._link.take(WANTS_PER_TURN, patience_s):
            self._hear(received)
        messages = [message for chunk in self._room.due(time.monotonic(), BATCH_CHUNKS) if (message := self._message(chunk))]
        try:
            self._link.publish(messages, retain=False)
        except LinkDownError as error:
            log.warning("chunks were lost, devices will ask again: %s", error)

    def _hear(self, received: Received) -> None:
        try:
            self._admit(received)
        except ContractError as error:
            self._poison.add(received.topic, str(error))

    def _admit(self, received: Received) -> None:
        heard = read_uplink(received, utc_now())
        want = heard.message
        assert isinstance(want, Want)
        size = self._files.size_of(want.digest)
        if size != want.bytes:
            found = f"one of {want.bytes} bytes"
            raise InvalidDocumentError(received.topic, "digest", f"a stored file{'' if size is None else f' of {size} bytes'}", found)
        missing = Bitmap.from_hex(chunk_count(size), want.bitmap)
        self._room.hear(heard.device, want.digest, tuple(islice(missing, want.window)), time.monotonic())

    def _message(self, chunk: ChunkRef) -> tuple[str, bytes] | None:
        size = self._files.size_of(chunk.digest) or 0
        try:
            content = self._files.read(chunk.digest, chunk.index * CHUNK_BYTES, chunk_length(size, chunk.index))
        except UnknownArtifactError as error:
            log.warning("%s", error)
            self._room.forget(chunk.digest)
            return None
        return of_chunk(chunk.digest, chunk.index), content
