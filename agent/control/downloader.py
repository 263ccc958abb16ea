"""Fetches one file at a time by its digest: asks for missing chunks, checks each, and keeps what is right."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio

from agent.control.ports import Incoming
from agent.core.transfer import WINDOW, Transfer
from agent.errors import FetchError
from contracts import codec
from contracts.chunks import chunk_length
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, Offer
from contracts.topics import ChunkTopic, of_chunks

# A link that is up while nobody sends a single chunk: the fleet has given the file up. Time without a link does not count.
GIVE_UP_S = 6 * 3600.0
# The fleet may have many deltas to make: past this, the whole file is asked for.
OFFER_PATIENCE_S = 300.0
OFFLINE_POLL_S = 0.5
MAX_WRONG_FILES = 3

log = logging.getLogger(__name__)


class Line(Protocol):
    """The link, as a download needs it."""

    @property
    def is_connected(self) -> bool:
        """Say whether asking makes sense."""

    async def ask_for_chunks(self, digest: str, size: int, bitmap: str, window: int, bases: tuple[str, ...]) -> None:
        """Publish a want; with `bases`, a delta from one of them is as good."""

    async def listen(self, topic_filter: str) -> None:
        """Ask for topics."""

    def unlisten(self, topic_filter: str) -> None:
        """Ask for them no longer."""


@dataclass(frozen=True)
class WantedFile:
    """A file by its identity; without chunk digests only the whole can be checked."""

    digest: str
    size: int
    chunks: tuple[str, ...] | None


@dataclass(frozen=True)
class Chunk:
    """A piece as it came from the broker."""

    topic: ChunkTopic
    payload: bytes


class Downloader:
    """One download after the other, so that a slow link finishes something."""

    def __init__(self, line: Line, incoming: Incoming) -> None:
        """Ask over `line`, keep in `incoming`."""
        self._line = line
        self._incoming = incoming
        self._turn = asyncio.Lock()
        self._digest: str | None = None
        self._arrived: asyncio.Queue[Chunk | Offer] = asyncio.Queue(maxsize=2 * WINDOW)

    def hear(self, topic: ChunkTopic, payload: bytes) -> None:
        """Take a chunk from the broker; one too many is asked for again."""
        if topic.digest == self._digest and not self._arrived.full():
            self._arrived.put_nowait(Chunk(topic, payload))

    def hear_offer(self, payload: bytes) -> None:
        """Take an offer from the broker, which anybody there may have made up."""
        try:
            offer = codec.decode(Offer, payload, name="offer", max_bytes=MAX_MESSAGE_BYTES)
        except ContractError as error:
            log.warning("%s", error)
            return
        if offer.target == self._digest and not self._arrived.full():
            self._arrived.put_nowait(offer)

    async def fetch(self, wanted: WantedFile, on_chunk: Callable[[int], None]) -> Path:
        """Return the file's path once it is whole and right, telling `on_chunk` of new bytes; raise FetchError."""
        found = await self.fetch_or_offer(wanted, (), on_chunk)
        assert isinstance(found, Path)  # nothing else was asked for
        return found

    async def fetch_or_offer(self, wanted: WantedFile, bases: tuple[str, ...], on_chunk: Callable[[int], None]) -> Path | Offer:
        """Do as `fetch`, unless the fleet answers by the offer of a smaller delta from one of `bases`."""
        async with self._turn:
            for _ in range(MAX_WRONG_FILES):
                if await anyio.to_thread.run_sync(self._incoming.is_whole, wanted.digest, wanted.size):
                    return self._incoming.path(wanted.digest)
                offer = await self._collect_all(wanted, bases, on_chunk)
                if offer is not None:
                    return offer
            if await anyio.to_thread.run_sync(self._incoming.is_whole, wanted.digest, wanted.size):
                return self._incoming.path(wanted.digest)
        raise FetchError(f"file {wanted.digest}: expected these bytes, found others {MAX_WRONG_FILES} times")

    async def _collect_all(self, wanted: WantedFile, bases: tuple[str, ...], on_chunk: Callable[[int], None]) -> Offer | None:
        topics = of_chunks(wanted.digest)
        transfer = Transfer(await anyio.to_thread.run_sync(self._incoming.missing, wanted.digest, wanted.size))
        self._digest = wanted.digest
        await self._line.listen(topics)
        try:
            return await self._collect(wanted, bases, transfer, on_chunk)
        finally:
            self._line.unlisten(topics)
            self._digest = None
            while not self._arrived.empty():
                self._arrived.get_nowait()

    async def _collect(
        self, wanted: WantedFile, bases: tuple[str, ...], transfer: Transfer, on_chunk: Callable[[int], None]
    ) -> Offer | None:
        heard_at_s = time.monotonic()
        while transfer.missing:
            now_s = time.monotonic()
            # A file that has begun to arrive is finished as it is.
            bases = bases if transfer.is_untouched and now_s - heard_at_s < OFFER_PATIENCE_S else ()
            if not self._line.is_connected:
                transfer, heard_at_s = transfer.lose_link(), now_s
                await asyncio.sleep(OFFLINE_POLL_S)
                continue
            if now_s - heard_at_s > GIVE_UP_S:
                raise FetchError(f"file {wanted.digest}: expected its chunks, found none in {GIVE_UP_S:g} s of a working link")
            wait_s = transfer.waits_s(now_s, random.random())  # noqa: S311 - spreads load
            if wait_s <= 0:
                await self._line.ask_for_chunks(wanted.digest, wanted.size, transfer.missing.to_hex(), WINDOW, bases)
                transfer = transfer.ask(now_s)
                continue
            try:
                arrived = await asyncio.wait_for(self._arrived.get(), wait_s)
            except asyncio.TimeoutError:
                continue
            if isinstance(arrived, Offer):
                if arrived.base in bases and arrived.delta.bytes < wanted.size:
                    return arrived
                continue
            before, transfer = transfer, await self._take(wanted, arrived, transfer)
            if len(transfer.missing) < len(before.missing):
                heard_at_s = transfer.heard_at_s
                on_chunk(len(arrived.payload))
        return None

    async def _take(self, wanted: WantedFile, chunk: Chunk, transfer: Transfer) -> Transfer:
        index, now_s = chunk.topic.index, time.monotonic()
        if chunk.topic.digest != wanted.digest or index not in transfer.missing:
            return transfer
        if not _is_right(wanted, index, chunk.payload):
            log.warning("chunk %d of %s is not what its digest says; asking again", index, wanted.digest)
            return transfer.hear_wrong(now_s)
        transfer = transfer.hear(index, now_s)
        await anyio.to_thread.run_sync(self._incoming.write, wanted.digest, index, chunk.payload, transfer.missing)
        return transfer


def _is_right(wanted: WantedFile, index: int, payload: bytes) -> bool:
    if len(payload) != chunk_length(wanted.size, index):
        return False
    return wanted.chunks is None or codec.sha256_of(payload) == wanted.chunks[index]
