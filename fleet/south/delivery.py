"""Publishes the chunks that devices want, each once for all who wait, and offers deltas to those who hold a base."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from itertools import islice
from typing import Literal, Protocol

from contracts import codec
from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_count, chunk_length
from contracts.errors import ContractError, InvalidDocumentError
from contracts.messages import Offer, Want
from contracts.topics import of_chunk, of_device, of_every_device
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


class Deltas(Protocol):
    """What can be offered instead of a file."""

    settled: int

    def answer(self, target: str, target_bytes: int, bases: tuple[str, ...]) -> Offer | Literal["later", "none"]:
        """Return the smallest delta, or whether waiting for one makes sense."""


class Delivery:
    """The loop from wants to chunks."""

    def __init__(self, link: Link, files: Files, deltas: Deltas) -> None:
        """Nothing is read before `turn`."""
        self._link = link
        self._files = files
        self._deltas = deltas
        # Who waits until a delta is made, and how many were made when they were looked at last.
        self._patient: dict[str, Want] = {}
        self._settled = 0
        self._offers: list[tuple[str, bytes]] = []
        self._room = WaitingRoom()
        self._poison = Poison(log)

    def turn(self) -> None:
        """Hear wants, then publish some of the chunks that are due."""
        patience_s = IDLE_PATIENCE_S if self._room.is_empty() else BUSY_PATIENCE_S
        for received in self._link.take(WANTS_PER_TURN, patience_s):
            self._hear(received)
        self._answer_the_patient()
        messages, self._offers = self._offers, []
        messages += [message for chunk in self._room.due(time.monotonic(), BATCH_CHUNKS) if (message := self._message(chunk))]
        try:
            self._link.publish(messages, retain=False)
        except LinkDownError as error:
            log.warning("chunks or offers were lost, devices will ask again: %s", error)

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
        self._patient.pop(heard.device, None)
        if want.bases and self._offer(heard.device, want):
            missing = Bitmap(missing.count, 0)
        self._room.hear(heard.device, want.digest, tuple(islice(missing, want.window)), time.monotonic())

    def _offer(self, device: str, want: Want) -> bool:
        """Offer a delta now or once it is made; return False when it must be chunks."""
        answer = self._deltas.answer(want.digest, want.bytes, want.bases)
        if isinstance(answer, Offer):
            self._offers.append((of_device(device, "offer"), codec.encode(answer)))
        elif answer == "later":
            self._patient[device] = want
        return answer != "none"

    def _answer_the_patient(self) -> None:
        settled = self._deltas.settled
        if settled == self._settled:
            return
        self._settled = settled
        patient, self._patient = self._patient, {}
        for device, want in patient.items():
            if not self._offer(device, want):
                missing = Bitmap.from_hex(chunk_count(want.bytes), want.bitmap)
                self._room.hear(device, want.digest, tuple(islice(missing, want.window)), time.monotonic())

    def _message(self, chunk: ChunkRef) -> tuple[str, bytes] | None:
        size = self._files.size_of(chunk.digest) or 0
        try:
            content = self._files.read(chunk.digest, chunk.index * CHUNK_BYTES, chunk_length(size, chunk.index))
        except UnknownArtifactError as error:
            log.warning("%s", error)
            self._room.forget(chunk.digest)
            return None
        return of_chunk(chunk.digest, chunk.index), content
