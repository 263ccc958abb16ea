"""Offers the line for files to the event loop: asks for topics, says what is wanted, and has what comes kept by the line's own thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle

import anyio

from agent.adapters.address import BrokerAddress
from agent.adapters.wire import Wire
from agent.core.pieces import Found, Taker
from agent.errors import LinkLostError
from contracts import mqtt
from contracts.mqtt_reasons import FAILURE, words

ACK_S = 20.0
CLOSE_S = 3.0
# The event loop is told of so many at a time, or of fewer in a pause.
TOLD_TOGETHER = 8
MAX_FOUND = 1000


class BulkConnection:
    """One connection, used from the event loop only."""

    def __init__(self, address: BrokerAddress, wire: Wire) -> None:
        """Use a wire that is open."""
        self._address = address
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._taker: Taker | None = None
        self._turn = threading.Lock()
        self._found: deque[Found] = deque()
        self._is_told = False
        self._news = asyncio.Event()
        self._acks: dict[int, asyncio.Future[tuple[int, ...]]] = {}
        self._packet_ids = cycle(range(1, mqtt.MAX_PACKET_ID + 1))
        self._loss: str | None = None
        self._thread = threading.Thread(target=self._serve, name="bulk", daemon=True)
        self._thread.start()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send one message, which may be lost; raise LinkLostError."""
        self._say(mqtt.publish(topic, len(payload)) + payload)

    async def subscribe(self, *filters: str) -> None:
        """Ask for topics at QoS 1; raise LinkLostError, also when the broker refuses one: nothing would come."""
        packet_id = next(self._packet_ids)
        ack = self._acks[packet_id] = self._loop.create_future()
        try:
            self._say(mqtt.subscribe(packet_id, filters))
            reasons = await asyncio.wait_for(ack, ACK_S)
        except asyncio.TimeoutError as error:
            raise self._lost(f"no acknowledgement in {ACK_S:g} s") from error
        finally:
            del self._acks[packet_id]
        for each, reason in zip(filters, reasons, strict=False):
            if reason >= FAILURE:
                raise LinkLostError(str(self._address), f"it refuses to send {each}: {words(reason)}", reason)

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""
        if self._loss is None:
            self._wire.say(mqtt.unsubscribe(next(self._packet_ids), filters))

    @asynccontextmanager
    async def heard_by(self, taker: Taker) -> AsyncIterator[None]:
        """Let `taker` have each message for as long as the block lasts; others are dropped."""
        self._found.clear()
        self._taker = taker
        try:
            yield
        finally:
            self._taker = None
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._finish_turn)

    async def receive(self) -> list[Found]:
        """Return what the taker made of the next messages, at least one; raise LinkLostError."""
        while True:
            await self._news.wait()
            if self._loss is None:
                self._news.clear()
            self._is_told = False
            if found := self.left():
                return found
            if self._loss is not None:
                raise self._lost(self._loss)

    def left(self) -> list[Found]:
        """Return what nobody received, without waiting."""
        return [self._found.popleft() for _ in range(len(self._found))]

    async def close(self) -> None:
        """End the connection and the thread."""
        self._loss = self._loss or "closed"
        self._news.set()
        self._wire.close()
        await anyio.to_thread.run_sync(self._thread.join, CLOSE_S)

    def _say(self, raw: bytes) -> None:
        if self._loss is not None:
            raise self._lost(self._loss)
        self._wire.say(raw)

    def _serve(self) -> None:
        """Be the thread."""
        reason = "closed"
        try:
            self._wire.serve(self._hear, self._tell)
        except LinkLostError as error:
            reason = error.found
        finally:
            self._wire.release()
        self._post_loss(reason)

    def _post_loss(self, reason: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            self._loop.call_soon_threadsafe(self._on_loss, reason)

    def _hear(self, packet: mqtt.Packet) -> None:
        if isinstance(packet, mqtt.Message):
            self._take(packet)
        elif isinstance(packet, mqtt.Acknowledgement):
            self._loop.call_soon_threadsafe(self._on_ack, packet)

    def _take(self, message: mqtt.Message) -> None:
        with self._turn:
            found = self._taker(message.topic, message.payload) if self._taker else None
        if found is None:
            return
        if len(self._found) >= MAX_FOUND:
            raise LinkLostError(str(self._address), "more messages than can be heard")
        self._found.append(found)
        if len(self._found) >= TOLD_TOGETHER:
            self._tell()

    def _tell(self) -> None:
        if self._found and not self._is_told:
            self._is_told = True
            self._loop.call_soon_threadsafe(self._news.set)

    def _finish_turn(self) -> None:
        with self._turn:
            pass  # the taker has returned

    def _on_ack(self, packet: mqtt.Acknowledgement) -> None:
        ack = self._acks.get(packet.packet_id)
        if ack is not None and not ack.done():
            ack.set_result(packet.reasons)

    def _on_loss(self, reason: str) -> None:
        if self._loss is not None:
            return
        self._loss = reason
        for ack in self._acks.values():
            if not ack.done():
                ack.set_exception(self._lost(reason))
        self._news.set()

    def _lost(self, reason: str) -> LinkLostError:
        return LinkLostError(str(self._address), reason)


class BulkBroker:
    """Opens connections for files, beside the one for everything else, so that no other message waits behind their chunks."""

    def __init__(self, address: BrokerAddress) -> None:
        """Connect to `address`."""
        self._address = address

    def move(self, address: BrokerAddress) -> None:
        """Connect to another address from now on."""
        self._address = address

    @asynccontextmanager
    async def connect_bulk(self) -> AsyncIterator[BulkConnection]:
        """Open a connection; raise LinkLostError."""
        wire = Wire(self._address)
        try:
            await anyio.to_thread.run_sync(wire.open)
        except BaseException:  # a cancellation too must leave no socket behind; it is raised again
            wire.release()
            raise
        connection = BulkConnection(self._address, wire)
        try:
            yield connection
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await connection.close()
