"""Touches one TLS connection of the fleet to the broker: the socket is read in large pieces, whatever the size of the broker's records."""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import ExitStack
from typing import NamedTuple

from contracts import mqtt
from contracts.mqtt_stream import Delivery, Stream
from fleet.south.mosquitto_conf import MAX_PACKET_BYTES
from fleet.south.mqtt import Login

KEEPALIVE_S = 60
PING_AFTER_S = KEEPALIVE_S / 4
ANSWER_S = 10.0
# One read of the socket, and the longest record of TLS.
READ_BYTES = 256 * 1024
RECORD_BYTES = 16 * 1024


class Came(NamedTuple):
    """Packets that came, and of how many bytes they are, as they came."""

    deliveries: list[Delivery]
    others: list[mqtt.Packet]
    size: int


class Wire:
    """A connection that the broker agreed to; for one thread."""

    def __init__(self, login: Login, hello: mqtt.Hello) -> None:
        """Connect and greet; raise OSError or MalformedPacketError."""
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = login.context().wrap_bio(self._coming, self._going, server_hostname=login.host)
        self._stream = Stream(MAX_PACKET_BYTES)
        # What came with the broker's welcome.
        self._early: Came | None = None
        self._spoke_s = self._heard_s = time.monotonic()
        with ExitStack() as stack:
            self._socket = stack.enter_context(socket.create_connection((login.host, login.port), ANSWER_S))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands()
            self.write(mqtt.connect(hello))
            self._early = self._welcomed()
            stack.pop_all()

    def read(self, timeout_s: float) -> Came | None:
        """Return the packets that came, maybe none that is whole; None when nothing came in time."""
        if self._early is not None:
            early, self._early = self._early, None
            return early
        self._keep_alive()
        if not select.select([self._socket], [], [], min(max(0.0, timeout_s), PING_AFTER_S))[0]:
            return None if timeout_s <= PING_AFTER_S else Came([], [], 0)
        raw = self._socket.recv(READ_BYTES)
        if not raw:
            raise ConnectionResetError("the broker hung up")
        self._heard_s = time.monotonic()
        self._coming.write(raw)
        records: list[bytes] = []
        try:
            while record := self._tls.read(RECORD_BYTES):
                records.append(record)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        self._flush()
        return Came(*self._stream.feed(b"".join(records)), len(raw))

    def write(self, raw: bytes) -> None:
        """Send all of it; raise OSError when the broker takes nothing for long."""
        self._tls.write(raw)
        self._flush()
        self._spoke_s = time.monotonic()

    def close(self) -> None:
        """End it without a word."""
        self._socket.close()

    def _welcomed(self) -> Came:
        """Wait for the broker's consent; return what came with it."""
        until_s = time.monotonic() + ANSWER_S
        while True:
            came = self.read(until_s - time.monotonic())
            if came is None:
                raise TimeoutError(f"no welcome within {ANSWER_S:g} s")
            if came.others:
                welcome, *others = came.others
                if not isinstance(welcome, mqtt.Welcome) or welcome.reason:
                    raise ConnectionRefusedError(f"no consent: {welcome}")
                return Came(came.deliveries, others, came.size)

    def _shake_hands(self) -> None:
        while not self._is_secure():
            raw = self._socket.recv(READ_BYTES)
            if not raw:
                raise ConnectionResetError("the broker hung up in the handshake")
            self._coming.write(raw)

    def _is_secure(self) -> bool:
        """Say our part of the handshake; tell whether it was the last."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def _flush(self) -> None:
        if self._going.pending:
            self._socket.sendall(self._going.read())

    def _keep_alive(self) -> None:
        now_s = time.monotonic()
        if now_s - max(self._spoke_s, self._heard_s) > 2 * KEEPALIVE_S:
            raise TimeoutError(f"no answer in {now_s - self._heard_s:.0f} s")
        if now_s - self._spoke_s > PING_AFTER_S:
            if self._spoke_s - self._heard_s > PING_AFTER_S:
                raise TimeoutError(f"no answer in {now_s - self._heard_s:.0f} s")
            self.write(mqtt.PINGREQ)
