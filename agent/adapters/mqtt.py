"""Touches the broker through paho-mqtt: one client per connection, its network thread bridged to asyncio."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import anyio
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.adapters.inbox import Inbox
from agent.core.transfer import MAX_WINDOW
from agent.errors import LinkLostError

CONNECT_S = 10.0
ACK_S = 20.0
CLOSE_S = 3.0
# Larger than any message of the contracts; the broker must not send more.
MAX_PACKET_BYTES = 1 << 20
MAX_INBOX_BYTES = 16 << 20
# Chunks that were not written yet; while there are more, the broker has to wait.
MAX_BULK_INBOX_BYTES = 4 << 20
MAX_INFLIGHT = 20
DISCONNECT_WITH_WILL = 0x04

log = logging.getLogger(__name__)


class Identity(Protocol):
    """Who we are to the broker; asked again at each connection, so that a renewed certificate counts from the next one on."""

    def tls_context(self) -> ssl.SSLContext:
        """Return what shows our certificate and checks the broker's; raise OSError."""

    def client_id(self, line: str = "") -> str:
        """Return a name for one `line` of ours, such as `bulk`, that no other device can guess.

        Whoever connects by a name ends the connection that had it.
        """


@dataclass(frozen=True)
class BrokerAddress:
    """How every connection of this device is made."""

    host: str
    port: int
    keepalive_s: int
    identity: Identity

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def client(self, line: str = "") -> paho.Client:
        """Return an unconnected client for the main line or another one; raise LinkLostError for unusable files of our own."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.identity.client_id(line),
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        try:
            client.tls_set_context(self.identity.tls_context())
        except OSError as error:
            raise LinkLostError(str(self), f"unusable certificates: {error}") from error
        client.max_inflight_messages_set(MAX_INFLIGHT)
        client.connect_timeout = CONNECT_S
        return client


class MqttConnection:
    """One connection, used from the event loop only."""

    def __init__(self, client: paho.Client, address: BrokerAddress, max_inbox_bytes: int) -> None:
        """Bridge the callbacks of a client that is not started yet."""
        self._client = client
        self._address = address
        loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._inbox = Inbox(max_inbox_bytes)
        self._loss: str | None = None

        def post(callback: Callable[..., None], *arguments: object) -> None:
            loop.call_soon_threadsafe(callback, *arguments)

        # paho calls these on its own thread.
        client.on_connect = lambda _c, _u, _f, reason, _p: post(self._on_connect, reason)
        client.on_disconnect = lambda _c, _u, _f, reason, _p: post(self._on_loss, str(reason))
        client.on_publish = lambda _c, _u, mid, reason, _p: post(self._on_ack, mid, [reason])
        client.on_subscribe = lambda _c, _u, mid, reasons, _p: post(self._on_ack, mid, reasons)

        def keep(_client: paho.Client, _user: object, message: paho.MQTTMessage) -> None:
            if not self._inbox.put(message.topic, bytes(message.payload)):
                # What is retained comes again on a new connection, and a chunk is asked for again.
                post(self._on_loss, "more messages than can be kept")

        client.on_message = keep

    async def open(self) -> None:
        """Wait for the broker's consent; raise LinkLostError."""
        try:
            await asyncio.wait_for(self._connected, CONNECT_S)
        except asyncio.TimeoutError as error:
            raise self._lost("no answer") from error

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Send one message, and with QoS 1 wait for its acknowledgement; raise LinkLostError."""
        info = self._client.publish(topic, payload, qos, retain)
        if qos:
            await self._acknowledged(info.rc, info.mid)
        elif info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost(paho.error_string(info.rc))

    async def subscribe(self, *filters: str) -> None:
        """Ask for topics at QoS 1; raise LinkLostError."""
        code, mid = self._client.subscribe([(each, SubscribeOptions(qos=1)) for each in filters])
        await self._acknowledged(code, mid or 0)

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""
        self._client.unsubscribe(list(filters))

    async def receive(self) -> list[tuple[str, bytes]]:
        """Return the next messages, at least one, each with its topic; raise LinkLostError."""
        messages = await self._inbox.take()
        if not messages:
            raise self._lost(self._loss or "closed")
        return messages

    def close(self) -> None:
        """Take nothing more in; a network thread that waits for room goes on."""
        self._loss = self._loss or "closed"
        self._connected.cancel()
        self._inbox.close()

    async def _acknowledged(self, code: MQTTErrorCode, mid: int) -> None:
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or self._loss is not None:
            raise self._lost(self._loss or paho.error_string(code))
        ack = self._acks[mid] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(ack, ACK_S)
        except asyncio.TimeoutError as error:
            raise self._lost(f"no acknowledgement in {ACK_S:g} s") from error
        finally:
            self._acks.pop(mid, None)

    def _on_connect(self, reason: ReasonCode) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(self._lost(str(reason)))
        else:
            self._connected.set_result(None)

    def _on_ack(self, mid: int, reasons: list[ReasonCode]) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            log.warning("broker %s refused a message or subscription: %s", self._address, refused[0])
        ack = self._acks.get(mid)
        if ack is not None and not ack.done():
            ack.set_result(None)

    def _on_loss(self, reason: str) -> None:
        if self._loss is not None:
            return
        self._loss = reason
        for waiting in (self._connected, *self._acks.values()):
            if not waiting.done():
                waiting.set_exception(self._lost(reason))
        self._inbox.close()

    def _lost(self, reason: str) -> LinkLostError:
        return LinkLostError(str(self._address), reason)


class MqttBroker:
    """Opens connections to one broker."""

    def __init__(self, address: BrokerAddress) -> None:
        """Connect to `address`."""
        self._address = address

    @asynccontextmanager
    async def connect(self, will_topic: str, will: bytes) -> AsyncIterator[MqttConnection]:
        """Open a connection whose retained will is sent unless the block ends in peace; raise LinkLostError."""
        client = self._address.client()
        client.will_set(will_topic, will, qos=1, retain=True)
        async with self._opened(client, MAX_INBOX_BYTES) as connection:
            yield connection

    @asynccontextmanager
    async def connect_bulk(self) -> AsyncIterator[MqttConnection]:
        """Open the connection for files, so that no other message waits behind their chunks; raise LinkLostError."""
        client = self._address.client("bulk")
        async with self._opened(client, MAX_BULK_INBOX_BYTES) as connection:
            yield connection

    @asynccontextmanager
    async def _opened(self, client: paho.Client, max_inbox_bytes: int) -> AsyncIterator[MqttConnection]:
        connection = MqttConnection(client, self._address, max_inbox_bytes)
        is_peaceful = False
        try:
            await self._dial(client)
            await connection.open()
            yield connection
            is_peaceful = True
        finally:
            reason = None if is_peaceful else ReasonCode(PacketTypes.DISCONNECT, identifier=DISCONNECT_WITH_WILL)
            connection.close()
            with anyio.move_on_after(CLOSE_S, shield=True):
                client.disconnect(reasoncode=reason)
                await anyio.to_thread.run_sync(client.loop_stop, abandon_on_cancel=True)

    async def _dial(self, client: paho.Client) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left this one untyped
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        # The broker copies no more than so many messages for a device that does not read them.
        properties.ReceiveMaximum = MAX_WINDOW

        def dial() -> None:
            address = self._address
            client.connect(address.host, address.port, address.keepalive_s, clean_start=True, properties=properties)
            client.loop_start()

        try:
            await anyio.to_thread.run_sync(dial)
        except OSError as error:
            raise LinkLostError(str(self._address), str(error)) from error
