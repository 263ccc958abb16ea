"""Brings files from the broker: asks with a bitmap and a credit window, over a connection of its own."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import anyio

from agent.control.ports.sources import BulkBroker, BulkConnection, LinkMemory
from agent.control.reporter import Reporter, Request
from agent.core.basket import Basket
from agent.core.pieces import Found, Kept, Piece
from agent.core.transfer import Transfer
from agent.errors import LinkLostError, SourceAwayError, SourceFailedError
from contracts import codec
from contracts.downlinks import Offer
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES
from contracts.topics import of_chunks, of_device, of_own_chunks, parse_chunk

# The fleet may have many deltas to make: past this, the whole file is asked for.
OFFER_PATIENCE_S = 300.0
MAX_WRONG_CHUNKS = 32
# How the link is, for an agent that starts after this one was killed.
SAVE_EVERY_S = 2.0

log = logging.getLogger(__name__)


@dataclass
class _Talk:
    """One file's state while it is asked for."""

    basket: Basket
    bases: tuple[str, ...]
    transfer: Transfer
    began_s: float
    # Since when chunks are due; monotonic seconds.
    due_s: float
    wrong: int = 0
    offer: Offer | None = None


class BrokerSource:
    """The fleet, behind the broker."""

    name = "mqtt"

    def __init__(self, broker: BulkBroker, reporter: Reporter, links: LinkMemory) -> None:
        """Connect when the first file is asked for."""
        self._broker = broker
        self._reporter = reporter
        self._links = links
        self._device = reporter.identity.device.id
        self._link = links.load()
        self._open: AsyncExitStack | None = None
        self._connection: BulkConnection | None = None
        self._saved_at_s = time.monotonic()
        # Never the same for two wants between which something was lost.
        self._rounds = 0

    async def fill(self, basket: Basket, bases: tuple[str, ...]) -> Offer | None:
        """Bring what is missing, or an offer to make it from one of `bases`; raise SourceAwayError or SourceFailedError."""
        digest = basket.wanted.digest
        topics = (of_chunks(digest), of_own_chunks(self._device, digest), of_device(self._device, "offer"))
        try:
            connection = await self._connected()
            asked_s = time.monotonic()
            await connection.subscribe(*topics)
            self._link = self._link.answered(time.monotonic() - asked_s)
            try:
                async with connection.heard_by(partial(_take, basket)):
                    return await self._converse(connection, basket, bases)
            finally:
                basket.count([each for each in connection.left() if isinstance(each, Kept)])
                connection.unsubscribe(*topics)
        except LinkLostError as error:
            await self.rest()
            raise SourceAwayError(str(error)) from error

    async def rest(self) -> None:
        """Close the connection."""
        if self._open is not None:
            opened, self._open, self._connection = self._open, None, None
            self._links.save(self._link)
            await opened.aclose()

    async def _connected(self) -> BulkConnection:
        if self._connection is None:
            self._open = AsyncExitStack()
            self._connection = await self._open.enter_async_context(self._broker.connect_bulk())
        return self._connection

    async def _converse(self, connection: BulkConnection, basket: Basket, bases: tuple[str, ...]) -> Offer | None:
        now_s = time.monotonic()
        self._rounds += 1
        talk = _Talk(basket, bases, Transfer(self._link, round=self._rounds, heard_at_s=now_s), now_s, now_s)
        try:
            while basket.missing and talk.offer is None:
                closed_s = basket.ask_in_s()
                if closed_s > 0:
                    talk.due_s = time.monotonic() + closed_s
                wait_s = max(closed_s, talk.transfer.waits_s(time.monotonic(), random.random()))  # noqa: S311 - spreads load
                if wait_s <= 0:
                    await self._ask(connection, talk)
                    continue
                try:
                    found = await asyncio.wait_for(connection.receive(), wait_s)
                except asyncio.TimeoutError:
                    continue
                self._hear(talk, found)
            if not basket.missing:
                # For the fleet, a want that lacks nothing is the word that nobody listens here any more.
                await self._want(connection, talk)
        finally:
            self._link, self._rounds = talk.transfer.link, talk.transfer.round
        return talk.offer

    async def _ask(self, connection: BulkConnection, talk: _Talk) -> None:
        now_s = time.monotonic()
        # A file that has begun to arrive is finished as it is.
        is_untouched = len(talk.basket.missing) == talk.basket.missing.count
        if talk.bases and not (is_untouched and now_s - talk.began_s < OFFER_PATIENCE_S):
            talk.bases, talk.due_s = (), now_s
        silent_s = now_s - max(talk.transfer.heard_at_s, talk.due_s)
        if not talk.bases and silent_s > self._link.patience_s:
            raise SourceFailedError(f"expected chunks, found none in {silent_s:.0f} s of a working link")
        talk.transfer = talk.transfer.ask(now_s)
        if now_s - self._saved_at_s > SAVE_EVERY_S:
            self._saved_at_s = now_s
            await anyio.to_thread.run_sync(self._links.save, talk.transfer.link)
        await self._want(connection, talk)

    async def _want(self, connection: BulkConnection, talk: _Talk) -> None:
        request = Request(talk.transfer.link.window, talk.transfer.round, talk.bases)
        want = self._reporter.want(talk.basket.wanted.digest, talk.basket.missing, talk.basket.wanted.size, request)
        await connection.publish(of_device(self._device, "want"), want)

    def _hear(self, talk: _Talk, found: list[Found]) -> None:
        kept = [each for each in found if isinstance(each, Kept)]
        for each in found:
            if isinstance(each, OSError):
                raise each
            if isinstance(each, bytes):
                talk.offer = _offer(talk, each) or talk.offer
        wrong = talk.basket.count(kept)
        new = [each.size for each in kept if each.is_new]
        if new:
            talk.transfer = talk.transfer.hear(len(new), sum(new), time.monotonic())
        if wrong:
            talk.wrong += wrong
            if talk.wrong > MAX_WRONG_CHUNKS:
                raise SourceFailedError(f"expected chunks as their digests say, found {talk.wrong} others")
            talk.transfer = talk.transfer.hear_wrong()


def _take(basket: Basket, topic: str, payload: memoryview) -> Found | None:
    """Keep a chunk of the file, on the thread that received it; leave documents to the event loop."""
    chunk = parse_chunk(topic)
    if chunk is None:
        return bytes(payload)
    if chunk.digest != basket.wanted.digest:
        return None
    try:
        return basket.keep(Piece(chunk.index, payload))
    except OSError as error:
        return error


def _offer(talk: _Talk, payload: bytes) -> Offer | None:
    """Read an offer, which anybody on the broker may have made up; None unless it answers what was asked."""
    try:
        offer = codec.decode(Offer, payload, name="offer", max_bytes=MAX_MESSAGE_BYTES)
    except ContractError as error:
        log.warning("%s", error)
        return None
    wanted = talk.basket.wanted
    is_answer = offer.target == wanted.digest and offer.base in talk.bases and offer.delta.bytes < wanted.size
    return offer if is_answer else None
