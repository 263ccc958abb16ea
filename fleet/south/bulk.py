"""Touches the fleet's line for files: one TLS connection to the broker, served by the thread that uses it."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import cycle

from contracts import mqtt
from contracts.errors import MalformedPacketError
from contracts.messages import MAX_MESSAGE_BYTES
from contracts.mqtt_reasons import FAILURE, words
from fleet.errors.server import LinkDownError
from fleet.south.mqtt import Login, Received

KEEPALIVE_S = 60
# A turn that published for so long did not listen: time to ask whether the broker is there.
PING_AFTER_S = KEEPALIVE_S / 4
ANSWER_S = 10.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 8.0
# Whoever has chunks to send asks again at once.
SHORTEST_SLEEP_S = 0.05
# Wants, of which a device sends a new one when the broker or we dropped one.
INBOX_MESSAGES = 5000
RECEIVE_MAXIMUM = 1000
MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + 1024
# Of TLS (RFC 8446, 5.1).
RECORD_BYTES = 16 * 1024

log = logging.getLogger("fleet.bulk")


class BulkLink:
    """A link that connects, and connects again, whenever it is asked for what arrived; for one thread."""

    def __init__(self, login: Login, line: str, subscriptions: Sequence[str]) -> None:
        """Prepare; nothing is sent before `take`."""
        self._login = login
        self._line = line
        self._subscriptions = subscriptions
        self._inbox: deque[Received] = deque()
        self._unacknowledged: set[int] = set()
        self._packet_ids = cycle(range(1, mqtt.MAX_PACKET_ID + 1))
        self._reader = mqtt.Reader(MAX_PACKET_BYTES)
        self._wire: ssl.SSLSocket | None = None
        self._allowance = 1
        self._pause_s = FIRST_PAUSE_S
        self._next_try_s = 0.0
        self._spoke_s = self._heard_s = 0.0

    @property
    def is_up(self) -> bool:
        """Say whether the broker is there."""
        return self._wire is not None

    def take(self, limit: int, timeout_s: float) -> list[Received]:
        """Return what arrived, waiting up to `timeout_s` for the first message."""
        until_s = time.monotonic() + timeout_s
        try:
            wire = self._wire or self._connect(timeout_s)
            if wire is not None:
                self._listen(wire, 0.0)
                while not self._inbox and (left_s := until_s - time.monotonic()) > 0:
                    self._listen(wire, left_s)
        except (OSError, MalformedPacketError) as error:
            self._lose(str(error))
        return [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]

    def send(self, messages: Iterable[tuple[str, bytes | memoryview]], ahead: int) -> None:
        """Publish with QoS 1 and wait until at most `ahead` of all messages lack their acknowledgement; raise LinkDownError.

        What was under way when it raises is forgotten here, though it may arrive yet.
        """
        for topic, payload in messages:
            if self._wire is None:
                raise LinkDownError(topic, "the link is down")
            try:
                packet_id = next(self._packet_ids)
                self._write(self._wire, mqtt.publish(topic, len(payload), packet_id), payload)
                self._unacknowledged.add(packet_id)
                self._settle(self._wire, min(ahead, self._allowance - 1))
            except (OSError, MalformedPacketError) as error:
                self._lose(str(error))
                raise LinkDownError(topic, str(error)) from error

    def open(self) -> None:
        """Nothing yet: `take` connects."""

    def close(self) -> None:
        """Disconnect, and forget what arrived."""
        self._inbox.clear()
        self._unacknowledged.clear()
        if self._wire is not None:
            try:
                self._wire.sendall(mqtt.DISCONNECT)
            except OSError as error:
                log.debug("no farewell: %s", error)
            self._wire.close()
            self._wire = None

    def _connect(self, timeout_s: float) -> ssl.SSLSocket | None:
        pause_s = self._next_try_s - time.monotonic()
        if pause_s > 0:
            time.sleep(min(pause_s, max(timeout_s, SHORTEST_SLEEP_S)))
            return None
        plain = socket.create_connection((self._login.host, self._login.port), ANSWER_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with ExitStack() as stack:
            wire = stack.enter_context(self._login.context().wrap_socket(plain, server_hostname=self._login.host))
            self._greet(wire)
            wire.setblocking(False)
            stack.pop_all()
        self._wire = wire
        self._pause_s = FIRST_PAUSE_S
        return wire

    def _greet(self, wire: ssl.SSLSocket) -> None:
        self._reader = mqtt.Reader(MAX_PACKET_BYTES)
        hello = mqtt.Hello(self._login.client_id(self._line), KEEPALIVE_S, RECEIVE_MAXIMUM, MAX_PACKET_BYTES)
        self._write(wire, mqtt.connect(hello))
        welcome = None
        while welcome is None:
            welcome = self._read(wire)
        if not isinstance(welcome, mqtt.Welcome) or welcome.reason:
            raise ConnectionRefusedError(f"no consent: {welcome}")
        self._allowance = welcome.receive_maximum
        if self._subscriptions:
            self._write(wire, mqtt.subscribe(next(self._packet_ids), self._subscriptions))

    def _lose(self, reason: str) -> None:
        log.warning("broker link lost, next try in %.0f s: %s", self._pause_s, reason)
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._unacknowledged.clear()
        self._next_try_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _settle(self, wire: ssl.SSLSocket, ahead: int) -> None:
        until_s = time.monotonic() + ANSWER_S
        while len(self._unacknowledged) > ahead:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"nothing within {ANSWER_S:g} s")
            self._listen(wire, left_s)

    def _listen(self, wire: ssl.SSLSocket, timeout_s: float) -> None:
        """Hear all that came, waiting for a first packet."""
        self._keep_alive(wire)
        while True:
            try:
                packet = self._read(wire)
            except ssl.SSLWantReadError:
                if timeout_s <= 0 or not select.select([wire], [], [], min(timeout_s, PING_AFTER_S))[0]:
                    return
                timeout_s = 0.0
                continue
            if packet is not None:
                self._hear(wire, packet)
                timeout_s = 0.0

    def _hear(self, wire: ssl.SSLSocket, packet: mqtt.Packet) -> None:
        if isinstance(packet, mqtt.Farewell):
            raise ConnectionResetError(f"ended by the broker with reason {packet.reason:#04x}")
        if isinstance(packet, mqtt.Acknowledgement):
            is_chunk = packet.packet_id in self._unacknowledged
            self._unacknowledged.discard(packet.packet_id)
            refused = [reason for reason in packet.reasons if reason >= FAILURE]
            if refused and not is_chunk:
                raise ConnectionRefusedError(f"the broker refused what we asked for: {words(refused[0])}")
            if refused:
                # Whoever lacks it asks for it again, and waits longer each time.
                log.warning("the broker refused a part of a file: %s", words(refused[0]))
        elif isinstance(packet, mqtt.Message):
            if len(self._inbox) < INBOX_MESSAGES:
                self._inbox.append(Received(packet.topic, bytes(packet.payload)))
            else:
                log.warning("inbox full: %s dropped", packet.topic)
            if packet.packet_id is not None:
                self._write(wire, mqtt.acknowledge(packet.packet_id))

    def _keep_alive(self, wire: ssl.SSLSocket) -> None:
        now_s = time.monotonic()
        if now_s - self._spoke_s > PING_AFTER_S:
            if self._spoke_s - self._heard_s > PING_AFTER_S:
                raise TimeoutError(f"no answer in {now_s - self._heard_s:.0f} s")
            self._write(wire, mqtt.PINGREQ)

    def _read(self, wire: ssl.SSLSocket) -> mqtt.Packet | None:
        count = wire.recv_into(self._reader.room())
        if not count:
            raise ConnectionResetError("the broker hung up")
        self._heard_s = time.monotonic()
        return self._reader.took(count)

    def _write(self, wire: ssl.SSLSocket, head: bytes, payload: bytes | memoryview = b"") -> None:
        """Send a packet, all of it; its head shares a TLS record with the payload's begin."""
        self._spoke_s = time.monotonic()
        with memoryview(payload) as view:
            first = RECORD_BYTES - len(head)
            self._drain(wire, memoryview(head + bytes(view[:first])))
            self._drain(wire, view[first:])

    def _drain(self, wire: ssl.SSLSocket, rest: memoryview) -> None:
        while rest:
            rest = rest[self._push(wire, rest) :]

    def _push(self, wire: ssl.SSLSocket, rest: memoryview) -> int:
        """Return how much the socket took; what it did not take has to come again."""
        try:
            return wire.send(rest)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
            if not select.select([], [wire], [], ANSWER_S)[1]:
                raise TimeoutError(f"nothing taken within {ANSWER_S:g} s") from error
            return 0
