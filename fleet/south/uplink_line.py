"""Touches the fleet's line for what devices say: nothing is acknowledged before it is kept, or read before there is room for it."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import ExitStack

from contracts import mqtt
from contracts.errors import MalformedPacketError
from contracts.mqtt_stream import Delivery, Stream
from fleet.south.mosquitto_conf import MAX_PACKET_BYTES
from fleet.south.mqtt import SESSION_EXPIRY_S, Login, Received

KEEPALIVE_S = 60
PING_AFTER_S = KEEPALIVE_S / 4
ANSWER_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
# The broker sends no more ahead of our acknowledgements; beyond it, it queues.
RECEIVE_MAXIMUM = 8000
# One read of the socket, and so many bytes of messages are taken at once.
READ_BYTES = 256 * 1024
MAX_TAKEN_BYTES = 8 << 20
# Every replica is one of this group: the broker gives each message to one of them.
GROUP = "ingest"

log = logging.getLogger("fleet.uplink")


class UplinkLine:
    """A line that connects, and connects again, whenever it is asked for what arrived; for one thread.

    Its session outlives it at the broker, so that what devices say meanwhile waits there.
    """

    def __init__(self, login: Login, filters: Sequence[str], replica: str = "", *, is_heir: bool = False) -> None:
        """Prepare; nothing is sent before `take`. A named `replica` shares the messages with all others that are named.

        An heir takes the place of one that is gone: it asks for no new messages, only for those that wait.
        """
        self._login = login
        self._name = f"fleet-uplink-{replica}" if replica else "fleet-uplink"
        asked = [f"$share/{GROUP}/{each}" for each in filters] if replica else list(filters)
        self._request = mqtt.unsubscribe(mqtt.MAX_PACKET_ID, asked) if is_heir else mqtt.subscribe(mqtt.MAX_PACKET_ID, asked, again=True)
        self._wire: _Wire | None = None
        self._unsettled: list[int] = []
        self._pause_s = FIRST_PAUSE_S
        self._next_try_s = 0.0
        self._subscriptions = 0
        self._news_s = 0.0

    @property
    def subscriptions(self) -> int:
        """Return how often the broker confirmed what we asked for; when it grows, the broker may have learned it just now."""
        return self._subscriptions

    @property
    def is_up(self) -> bool:
        """Say whether the broker is there."""
        return self._wire is not None

    @property
    def quiet_s(self) -> float:
        """Return for how long the broker has had nothing for us; 0 while it is not there or something is not settled."""
        return 0.0 if self._wire is None or self._unsettled else time.monotonic() - self._news_s

    def open(self) -> None:
        """Nothing: it connects when it is asked for what arrived."""

    def take(self, limit: int, timeout_s: float, linger_s: float = 0.0) -> list[Received]:
        """Return what arrived, waiting `timeout_s` for the first message and then `linger_s` for more, until there are about `limit`."""
        until_s = time.monotonic() + timeout_s
        taken: list[Received] = []
        room = MAX_TAKEN_BYTES
        try:
            wire = self._wire or self._connect(timeout_s)
            while wire is not None and len(taken) < limit and room > 0:
                packets = wire.read(until_s - time.monotonic())
                if packets is None:
                    break
                before, unsettled = len(taken), self._unsettled.append
                for packet in packets:
                    if isinstance(packet, Delivery):
                        unsettled(packet.packet_id)
                        taken.append(Received(packet.topic, packet.payload))
                        room -= len(packet.payload)
                    else:
                        self._hear(packet, taken)
                if not before and taken:
                    until_s = time.monotonic() + linger_s
        except (OSError, MalformedPacketError) as error:
            self._lose(str(error))
        if taken:
            self._news_s = time.monotonic()
        return taken

    def settle(self) -> None:
        """Acknowledge all that was taken; what a lost connection brought comes again."""
        if self._wire is None or not self._unsettled:
            return
        try:
            self._wire.write(mqtt.acknowledge_all(self._unsettled))
        except OSError as error:
            self._lose(str(error))
        self._unsettled.clear()

    def close(self) -> None:
        """Disconnect, and leave the session at the broker; `take` may follow."""
        self._part(mqtt.DISCONNECT)

    def end(self) -> None:
        """Disconnect, and have the broker forget the session with all that waits in it."""
        self._part(mqtt.DISCONNECT_FOR_GOOD)

    def _part(self, farewell: bytes) -> None:
        if self._wire is not None:
            try:
                self._wire.write(farewell)
            except OSError as error:
                log.debug("no farewell: %s", error)
            self._wire.close()
            self._wire = None
        self._unsettled.clear()

    def _connect(self, timeout_s: float) -> _Wire | None:
        pause_s = self._next_try_s - time.monotonic()
        if pause_s > 0:
            time.sleep(min(pause_s, timeout_s))
            return None
        # All that the broker lets in: what is too large for a message is refused with its reason here, not dropped in silence there.
        hello = mqtt.Hello(
            self._login.client_id(self._name), KEEPALIVE_S, RECEIVE_MAXIMUM, MAX_PACKET_BYTES, session_expiry_s=SESSION_EXPIRY_S
        )
        self._wire = _Wire(self._login, hello)
        self._wire.write(self._request)
        self._news_s = time.monotonic()
        self._pause_s = FIRST_PAUSE_S
        return self._wire

    def _hear(self, packet: mqtt.Packet, taken: list[Received]) -> None:
        if isinstance(packet, mqtt.Message):
            taken.append(Received(packet.topic, bytes(packet.payload)))
        elif isinstance(packet, mqtt.Farewell):
            raise ConnectionResetError(f"ended by the broker with reason {packet.reason:#04x}")
        elif isinstance(packet, mqtt.Acknowledgement):
            refused = [reason for reason in packet.reasons if reason >= mqtt.FAILURE]
            if refused:
                raise ConnectionRefusedError(f"the broker refused what we asked for: reason {refused[0]:#04x}")
            self._subscriptions += 1

    def _lose(self, reason: str) -> None:
        log.warning("broker link lost, next try in %.1f s: %s", self._pause_s, reason)
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._unsettled.clear()
        self._next_try_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


class _Wire:
    """One TLS connection: the socket is read in large pieces, whatever the size of the broker's records."""

    def __init__(self, login: Login, hello: mqtt.Hello) -> None:
        """Connect and greet; raise OSError or MalformedPacketError."""
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = login.context().wrap_bio(self._coming, self._going, server_hostname=login.host)
        self._stream = Stream(MAX_PACKET_BYTES)
        # What came with the broker's welcome.
        self._early: list[Delivery | mqtt.Packet] = []
        self._spoke_s = self._heard_s = time.monotonic()
        with ExitStack() as stack:
            self._socket = stack.enter_context(socket.create_connection((login.host, login.port), ANSWER_S))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands()
            self.write(mqtt.connect(hello))
            while not self._early:
                self._early = self.read(ANSWER_S) or []
                if time.monotonic() - self._heard_s > ANSWER_S:
                    raise TimeoutError(f"no welcome within {ANSWER_S:g} s")
            welcome = self._early.pop(0)
            if not isinstance(welcome, mqtt.Welcome) or welcome.reason:
                raise ConnectionRefusedError(f"no consent: {welcome}")
            stack.pop_all()

    def read(self, timeout_s: float) -> list[Delivery | mqtt.Packet] | None:
        """Return the packets that came, maybe none that is whole; None when nothing came in time."""
        if self._early:
            early, self._early = self._early, []
            return early
        self._keep_alive()
        if not select.select([self._socket], [], [], min(max(0.0, timeout_s), PING_AFTER_S))[0]:
            return None if timeout_s <= PING_AFTER_S else []
        raw = self._socket.recv(READ_BYTES)
        if not raw:
            raise ConnectionResetError("the broker hung up")
        self._heard_s = time.monotonic()
        self._coming.write(raw)
        plain: list[bytes] = []
        try:
            while piece := self._tls.read(READ_BYTES):
                plain.append(piece)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        self._flush()
        return self._stream.feed(b"".join(plain))

    def write(self, raw: bytes) -> None:
        """Send all of it; raise OSError when the broker takes nothing for long."""
        self._tls.write(raw)
        self._flush()
        self._spoke_s = time.monotonic()

    def close(self) -> None:
        """End it without a word."""
        self._socket.close()

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
