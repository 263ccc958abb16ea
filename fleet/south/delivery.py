"""Publishes the chunks that devices want, each once for all who wait, and offers deltas to those who hold a base."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from contracts import codec
from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_count
from contracts.downlinks import Offer
from contracts.errors import ContractError, InvalidDocumentError
from contracts.messages import Want
from contracts.pace import Budget, Hours
from contracts.topics import of_chunk, of_device, of_every_device, of_own_chunk
from fleet.core.waiting import Publication, Request, WaitingRoom
from fleet.errors.releases import UnknownArtifactError
from fleet.errors.server import LinkDownError
from fleet.south.ingest import read_uplink
from fleet.south.mqtt import Received
from fleet.south.poison import Poison
from fleet.wall_clock import utc_now

TOPICS = (of_every_device("want"),)
# Between two looks at the wants.
BATCH_CHUNKS = 8
# Chunks that the broker may not have acknowledged yet: 4 MiB.
AHEAD_CHUNKS = 16
WANTS_PER_TURN = 200
IDLE_PATIENCE_S = 0.25

log = logging.getLogger("fleet.delivery")


class Link(Protocol):
    """The broker."""

    def take(self, limit: int, timeout_s: float) -> list[Received]:
        """Return what arrived, waiting up to `timeout_s` for the first message."""

    @property
    def is_up(self) -> bool:
        """Say whether publishing makes sense."""

    def send(self, messages: Iterable[tuple[str, bytes | memoryview]], ahead: int) -> None:
        """Publish and wait until at most `ahead` lack their acknowledgement; raise LinkDownError."""


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


@dataclass(frozen=True)
class Pace:
    """How fast chunks go out, all devices together, and at what hours of the server's day; 0 and None are no limit."""

    bytes_per_s: float = 0.0
    hours: Hours | None = None


UNBOUNDED = Pace()


class Delivery:
    """The loop from wants to chunks."""

    def __init__(self, link: Link, files: Files, deltas: Deltas, pace: Pace = UNBOUNDED) -> None:
        """Nothing is read before `turn`."""
        self._link = link
        self._files = files
        self._deltas = deltas
        self._hours = pace.hours
        self._budget = Budget(pace.bytes_per_s, at_s=time.monotonic())
        # Who waits until a delta is made, and how many were made when they were looked at last.
        self._patient: dict[str, Want] = {}
        self._settled = 0
        self._offers: list[tuple[str, bytes]] = []
        self._room = WaitingRoom()
        self._poison = Poison(log)

    def turn(self) -> None:
        """Hear wants, then publish some of the chunks that are due."""
        for received in self._link.take(WANTS_PER_TURN, self._patience_s()):
            self._hear(received)
        self._answer_the_patient()
        offers, self._offers = self._offers, []
        try:
            self._link.send(offers, 0)
            if self._closed_s() <= 0 and self._link.is_up:
                due = self._room.due(time.monotonic(), self._batch_chunks())
                self._link.send(self._messages(due), AHEAD_CHUNKS)
        except LinkDownError as error:
            log.warning("chunks or offers were lost, devices will ask again: %s", error)

    def _patience_s(self) -> float:
        due_s = self._room.next_in_s(time.monotonic())
        return IDLE_PATIENCE_S if due_s is None else min(IDLE_PATIENCE_S, max(due_s, self._closed_s()))

    def _batch_chunks(self) -> int:
        # Under a byte rate they go out one by one: what is queued is lost with a link.
        return BATCH_CHUNKS if not self._budget.bytes_per_s else 1

    def _closed_s(self) -> float:
        self._budget = self._budget.at(time.monotonic())
        return max(self._budget.wait_s, 0.0 if self._hours is None else self._hours.opens_in_s(datetime.now().astimezone()))

    def _hear(self, received: Received) -> None:
        try:
            self._admit(received)
        except ContractError as error:
            self._poison.add(received.topic, str(error))

    def _admit(self, received: Received) -> None:
        heard = read_uplink(received.topic, received.payload, utc_now())
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
        self._await(heard.device, want, missing)

    def _await(self, device: str, want: Want, missing: Bitmap) -> None:
        number = None if want.round is None else (want.session, want.round)
        self._room.hear(Request(device, want.digest, number, missing.bits, want.window), time.monotonic())

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
                self._await(device, want, Bitmap.from_hex(chunk_count(want.bytes), want.bitmap))

    def _messages(self, due: Sequence[Publication]) -> Iterator[tuple[str, memoryview]]:
        for run in _runs(due):
            digest, start = run[0].digest, run[0].index * CHUNK_BYTES
            end = min(self._files.size_of(digest) or 0, (run[-1].index + 1) * CHUNK_BYTES)
            try:
                content = memoryview(self._files.read(digest, start, end - start))
            except UnknownArtifactError as error:
                log.warning("%s", error)
                self._room.forget(digest)
                continue
            for each in run:
                chunk = content[each.index * CHUNK_BYTES - start :][:CHUNK_BYTES]
                self._budget = self._budget.spend(len(chunk))
                yield _topic(each), chunk


def _topic(chunk: Publication) -> str:
    if chunk.device is None:
        return of_chunk(chunk.digest, chunk.index)
    return of_own_chunk(chunk.device, chunk.digest, chunk.index)


def _runs(due: Sequence[Publication]) -> Iterator[list[Publication]]:
    """Part publications into what one read of a file serves: the same chunk again, or the next."""
    run: list[Publication] = []
    for each in due:
        if run and not (each.digest == run[-1].digest and each.index - run[-1].index in (0, 1)):
            yield run
            run = []
        run.append(each)
    if run:
        yield run
