"""Touches the socket of the line for files: one TLS connection that a thread reads straight into each message's memory."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable

from agent.adapters.address import BrokerAddress
from agent.core.transfer import MAX_WINDOW
from agent.errors import LinkLostError
from contracts import mqtt
from contracts.errors import MalformedPacketError

CONNECT_S = 10.0
# Larger than any chunk or offer with its topic; the broker must not send more.
MAX_PACKET_BYTES = 1 << 20
# What we say are wants, of which a new one makes the older worthless.
MAX_UNSENT_BYTES = 1 << 20
# A broker is told of what came some chunks at a time: each word costs it as much as a part of a chunk.
ACKNOWLEDGE_EVERY = 8
# Nothing for so long is a pause.
GATHER_S = 0.005
# While chunks flow, the kernel wakes us for so much at a time, or after a pause: waking costs more than reading a record does.
WAKE_BYTES = 128 * 1024


class Wire:
    """The thread calls `open`, then `serve`; everybody may call `say` and `close`."""

    def __init__(self, address: BrokerAddress) -> None:
        """Prepare; nothing is sent before `open`."""
        self._address = address
        self._reader = mqtt.Reader(MAX_PACKET_BYTES)
        self._unsent: deque[memoryview] = deque()
        self._owed = bytearray()
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._ours.setblocking(False)
        self._socket: ssl.SSLSocket | None = None
        self._is_closing = False
        self._wakes_at = 1

    def open(self) -> None:
        """Connect, and wait for the broker's consent; raise LinkLostError."""
        address = self._address
        try:
            context = address.identity.tls_context()
        except OSError as error:
            raise LinkLostError(str(address), f"unusable certificates: {error}") from error
        try:
            plain = socket.create_connection((address.host, address.port), CONNECT_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = context.wrap_socket(plain, server_hostname=address.host)
            hello = mqtt.Hello(address.identity.client_id("bulk"), address.keepalive_s, MAX_WINDOW, MAX_PACKET_BYTES)
            self._socket.sendall(mqtt.connect(hello))
            packet = self._read(self._socket)
            self._socket.setblocking(False)
        except (OSError, MalformedPacketError) as error:
            raise LinkLostError(str(address), str(error)) from error
        if not isinstance(packet, mqtt.Welcome) or packet.reason:
            raise LinkLostError(str(address), f"no consent: {packet}")

    def serve(self, hear: Callable[[mqtt.Packet], None], pause: Callable[[], None]) -> None:
        """Let `hear` have each packet until we close, and call `pause` when there are no more for now; raise LinkLostError.

        A message counts as received when `hear` returns.
        """
        assert self._socket is not None  # it was opened
        try:
            while not self._is_closing:
                try:
                    packet = self._read(self._socket)
                except ssl.SSLWantReadError:
                    if not self._wait(self._socket, GATHER_S) and not self._is_any_left(self._socket):
                        pause()
                        self._speak(self._socket)
                        self._rest(self._socket)
                    continue
                if isinstance(packet, mqtt.Farewell):
                    raise ConnectionResetError(f"ended by the broker with reason {packet.reason:#04x}")
                hear(packet)
                if isinstance(packet, mqtt.Message) and packet.packet_id is not None:
                    self._owe(self._socket, packet.packet_id)
                    self._wake_at(self._socket, WAKE_BYTES)
            self._socket.settimeout(1.0)
            self._socket.sendall(mqtt.DISCONNECT)
        except (OSError, MalformedPacketError) as error:
            raise LinkLostError(str(self._address), str(error)) from error

    def say(self, raw: bytes) -> None:
        """Send a packet soon; raise LinkLostError when the broker takes nothing."""
        if sum(map(len, self._unsent)) > MAX_UNSENT_BYTES:
            raise LinkLostError(str(self._address), "one that takes nothing")
        self._unsent.append(memoryview(raw))
        self._wake()

    def close(self) -> None:
        """Have `serve` return."""
        self._is_closing = True
        self._wake()

    def release(self) -> None:
        """Let go of every socket, after `serve`."""
        for each in (self._socket, self._ours, self._theirs):
            if each is not None:
                each.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake already, or gone
            self._theirs.send(b"!")

    def _read(self, wire: ssl.SSLSocket) -> mqtt.Packet:
        """Return the next packet, record by record; SSLWantReadError leaves what came of it for the next call."""
        reader = self._reader
        while count := wire.recv_into(reader.room()):
            packet = reader.took(count)
            if packet is not None:
                return packet
        raise ConnectionResetError("the broker hung up")

    def _is_any_left(self, wire: ssl.SSLSocket) -> bool:
        """Say whether something came that is less than what wakes us; from here on, a byte does."""
        was_enough = self._wakes_at == 1
        self._wake_at(wire, 1)
        return not was_enough and self._wait(wire, 0.0)

    def _wake_at(self, wire: ssl.SSLSocket, size: int) -> None:
        if size != self._wakes_at:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
            self._wakes_at = size

    def _owe(self, wire: ssl.SSLSocket, packet_id: int) -> None:
        word = mqtt.acknowledge(packet_id)
        self._owed += word
        if len(self._owed) >= ACKNOWLEDGE_EVERY * len(word):
            self._speak(wire)

    def _speak(self, wire: ssl.SSLSocket) -> None:
        if self._owed:
            self._unsent.append(memoryview(bytes(self._owed)))
            self._owed.clear()
        try:
            while self._unsent:
                # What is sent in part has to come again from the same place.
                count = wire.send(self._unsent[0])
                rest = self._unsent[0][count:]
                if rest:
                    self._unsent[0] = rest
                else:
                    self._unsent.popleft()
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass  # after the next wait

    def _rest(self, wire: ssl.SSLSocket) -> None:
        """Wait for something to do; a broker that does not answer a ping is gone."""
        silent_s = self._address.keepalive_s / 2
        if self._wait(wire, silent_s):
            return
        self._unsent.append(memoryview(mqtt.PINGREQ))
        self._speak(wire)
        if not self._wait(wire, silent_s):
            raise TimeoutError(f"no answer to a ping in {silent_s:g} s")

    def _wait(self, wire: ssl.SSLSocket, timeout_s: float) -> bool:
        """Wait, send what may be sent, and say whether anything happened."""
        ready, free, _ = select.select([wire, self._ours], [wire] if self._unsent else [], [], timeout_s)
        if self._ours in ready:
            self._ours.recv(4096)
        if free or self._ours in ready:
            self._speak(wire)
        return bool(ready or free)
