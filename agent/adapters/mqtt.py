"""Touches the broker through paho-mqtt, for all but files: one client per connection, its network thread bridged to asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.adapters.address import BrokerAddress
from agent.adapters.inbox import Inbox
from agent.errors import LinkLostError
from contracts.mqtt_reasons import PACKET_TOO_LARGE, TAKEN, completed

CONNECT_S = 10.0
ACK_S = 20.0
CLOSE_S = 3.0
# Larger than any message of the contracts; the broker must not send more.
MAX_PACKET_BYTES = 1 << 20
MAX_INBOX_BYTES = 16 << 20
MAX_INFLIGHT = 20
MAX_UNREAD = 32
DISCONNECT_WITH_WILL = 0x04
# The broker counts a packet's heads too: topic, identifier, lengths and properties.
HEADS_BYTES = 16
# Packets by which a broker refuses.
ANSWERS = (PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.UNSUBACK, PacketTypes.DISCONNECT)


class _Client(paho.Client):
    """Ends a connection that brings a packet larger than we said that we take; paho would keep up to 256 MiB of it in memory."""

    # What the broker did wrong.
    objection = ""

    def _packet_read(self) -> MQTTErrorCode:
        # There is no public place between a packet's length and its bytes.
        code = super()._packet_read()
        size = self._in_packet["remaining_length"]
        if size <= MAX_PACKET_BYTES:
            return code
        self.objection = f"a packet of {size} bytes, expected at most {MAX_PACKET_BYTES}"
        return MQTTErrorCode.MQTT_ERR_PROTOCOL


def _client(address: BrokerAddress) -> _Client:
    """Return an unconnected client; raise LinkLostError for unusable files of our own."""
    ReasonCode.names = completed(ReasonCode.names, ANSWERS)
    client = _Client(
        CallbackAPIVersion.VERSION2,
        client_id=address.identity.client_id(),
        protocol=MQTTProtocolVersion.MQTTv5,
        reconnect_on_failure=False,
    )
    try:
        client.tls_set_context(address.identity.tls_context())
    except OSError as error:
        raise LinkLostError(str(address), f"unusable certificates: {error}") from error
    client.max_inflight_messages_set(MAX_INFLIGHT)
    client.connect_timeout = CONNECT_S
    return client


class MqttConnection:
    """One connection, used from the event loop only."""

    def __init__(self, client: _Client, address: BrokerAddress) -> None:
        """Bridge the callbacks of a client that is not started yet."""
        self._client = client
        self._address = address
        loop = asyncio.get_running_loop()
        # False and None are a loss: an exception kept here would keep all of this until it is collected.
        self._connected: asyncio.Future[bool] = loop.create_future()
        self._acks: dict[int, asyncio.Future[list[ReasonCode] | None]] = {}
        self._inbox = Inbox(MAX_INBOX_BYTES)
        self._loss: str | None = None
        self._loss_code: int | None = None
        # None is whatever we like.
        self._max_packet_bytes: int | None = None

        def post(callback: Callable[..., None], *arguments: object) -> None:
            loop.call_soon_threadsafe(callback, *arguments)

        # paho calls these on its own thread.
        client.on_connect = lambda _c, _u, _f, reason, properties: post(self._on_connect, reason, properties)
        client.on_disconnect = lambda _c, _u, _f, reason, _p: post(self._on_loss, client.objection or str(reason), reason.value)
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
            is_connected = await asyncio.wait_for(self._connected, CONNECT_S)
        except asyncio.TimeoutError as error:
            raise self._lost("no answer") from error
        if not is_connected:
            raise self._lost()

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        """Send one message, and with QoS 1 wait for its acknowledgement; return the reason code. Raise LinkLostError."""
        if self._max_packet_bytes is not None and len(topic.encode()) + len(payload) + HEADS_BYTES > self._max_packet_bytes:
            return PACKET_TOO_LARGE  # the broker would end the connection over it
        info = self._client.publish(topic, payload, qos, retain)
        if qos:
            (reason,) = await self._acknowledged(info.rc, info.mid)
            return int(reason.value)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost(paho.error_string(info.rc))
        return TAKEN

    async def subscribe(self, *filters: str) -> dict[str, int]:
        """Ask for topics at QoS 1; return those that were refused, each with the reason code. Raise LinkLostError."""
        code, mid = self._client.subscribe([(each, SubscribeOptions(qos=1)) for each in filters])
        reasons = await self._acknowledged(code, mid or 0)
        return {each: int(reason.value) for each, reason in zip(filters, reasons, strict=True) if reason.is_failure}

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""
        self._client.unsubscribe(list(filters))

    async def receive(self) -> list[tuple[str, bytes]]:
        """Return the next messages, at least one, each with its topic; raise LinkLostError."""
        messages = await self._inbox.take()
        if not messages:
            raise self._lost()
        return messages

    def close(self) -> None:
        """Take nothing more in; a network thread that waits for room goes on."""
        self._loss = self._loss or "closed"
        self._connected.cancel()
        self._inbox.close()

    async def _acknowledged(self, code: MQTTErrorCode, mid: int) -> list[ReasonCode]:
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or self._loss is not None:
            raise self._lost(paho.error_string(code))
        ack = self._acks[mid] = asyncio.get_running_loop().create_future()
        try:
            reasons = await asyncio.wait_for(ack, ACK_S)
        except asyncio.TimeoutError as error:
            raise self._lost(f"no acknowledgement in {ACK_S:g} s") from error
        finally:
            self._acks.pop(mid, None)
        if reasons is None:
            raise self._lost()
        return list(reasons)

    def _on_connect(self, reason: ReasonCode, properties: Properties | None) -> None:
        if self._connected.done():
            return
        self._max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        if reason.is_failure:
            self._on_loss(str(reason), reason.value)
        else:
            self._connected.set_result(True)

    def _on_ack(self, mid: int, reasons: list[ReasonCode]) -> None:
        ack = self._acks.get(mid)
        if ack is not None and not ack.done():
            ack.set_result(reasons)

    def _on_loss(self, reason: str, code: int | None = None) -> None:
        if self._loss is not None:
            return
        self._loss, self._loss_code = reason, code
        if not self._connected.done():
            self._connected.set_result(False)
        for ack in self._acks.values():
            if not ack.done():
                ack.set_result(None)
        self._inbox.close()

    def _lost(self, reason: str = "closed") -> LinkLostError:
        return LinkLostError(str(self._address), self._loss or reason, self._loss_code)


class MqttBroker:
    """Opens connections to one broker."""

    def __init__(self, address: BrokerAddress) -> None:
        """Connect to `address`."""
        self._address = address

    def move(self, address: BrokerAddress) -> None:
        """Connect to another address from now on."""
        self._address = address

    @asynccontextmanager
    async def connect(self, will_topic: str, will: bytes) -> AsyncIterator[MqttConnection]:
        """Open a connection whose retained will is sent unless the block ends in peace; raise LinkLostError."""
        client = _client(self._address)
        client.will_set(will_topic, will, qos=1, retain=True)
        connection = MqttConnection(client, self._address)
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
            # Without this circle the client is freed at once, and with it the sockets by which paho wakes its thread.
            client.on_connect = client.on_disconnect = client.on_publish = client.on_subscribe = client.on_message = None

    async def _dial(self, client: paho.Client) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left this one untyped
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        # The broker copies no more than so many messages for a device that does not read them.
        properties.ReceiveMaximum = MAX_UNREAD

        def dial() -> None:
            address = self._address
            client.connect(address.host, address.port, address.keepalive_s, clean_start=True, properties=properties)
            client.loop_start()

        try:
            await anyio.to_thread.run_sync(dial)
        except OSError as error:
            raise LinkLostError(str(self._address), str(error)) from error
