"""Touches the line for files: one connection to the broker that a thread reads straight into each message's memory."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from agent.adapters.address import BrokerAddress
from agent.adapters.tunnel import TAKE_BYTES, Tunnel
from agent.core.transfer import MAX_WINDOW
from agent.errors import LinkLostError
from contracts import mqtt
from contracts.errors import MalformedPacketError

CONNECT_S = 10.0
FAREWELL_S = 1.0
# Larger than any chunk or offer with its topic; the broker must not send more.
MAX_PACKET_BYTES = 1 << 20
# What we say are wants, of which a new one makes the older worthless.
MAX_UNSENT_BYTES = 1 << 20
# A broker is told of what came some chunks at a time: each word costs it as much as a part of a chunk.
ACKNOWLEDGE_EVERY = 8
# Nothing for so long is a pause.
GATHER_S = 0.005


class Wire:
    """The thread calls `open`, then `serve`; everybody may call `say` and `close`."""

    def __init__(self, address: BrokerAddress) -> None:
        """Prepare; nothing is sent before `open`."""
        self._address = address
        self._reader = mqtt.Reader(MAX_PACKET_BYTES)
        self._unsent: deque[bytes] = deque()
        self._owed: list[int] = []
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._ours.setblocking(False)
        self._tunnel: Tunnel | None = None
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
            self._tunnel = Tunnel(address.host, address.port, context, CONNECT_S)
            hello = mqtt.Hello(address.identity.client_id("bulk"), address.keepalive_s, MAX_WINDOW, MAX_PACKET_BYTES)
            self._tunnel.say(mqtt.connect(hello))
            packet = self._answer(self._tunnel)
        except (OSError, MalformedPacketError) as error:
            raise LinkLostError(str(address), str(error)) from error
        if not isinstance(packet, mqtt.Welcome) or packet.reason:
            raise LinkLostError(str(address), f"no consent: {packet}")

    def serve(self, hear: Callable[[mqtt.Packet], None], pause: Callable[[], None]) -> None:
        """Let `hear` have each packet until we close, and call `pause` when there are no more for now; raise LinkLostError.

        A message counts as received when `hear` returns.
        """
        assert self._tunnel is not None  # it was opened
        try:
            while not self._is_closing:
                packet = self._read(self._tunnel)
                if packet is None:
                    if not self._wait(self._tunnel, GATHER_S) and not self._is_any_left(self._tunnel):
                        pause()
                        self._speak(self._tunnel)
                        self._rest(self._tunnel)
                    continue
                if isinstance(packet, mqtt.Farewell):
                    raise ConnectionResetError(f"ended by the broker with reason {packet.reason:#04x}")
                hear(packet)
                if isinstance(packet, mqtt.Message) and packet.packet_id is not None:
                    self._owe(self._tunnel, packet.packet_id)
                    self._wake_at(self._tunnel, TAKE_BYTES)
            self._tunnel.say(mqtt.DISCONNECT)
            self._tunnel.drain(FAREWELL_S)
        except (OSError, MalformedPacketError) as error:
            raise LinkLostError(str(self._address), str(error)) from error

    def say(self, raw: bytes) -> None:
        """Send a packet soon; raise LinkLostError when the broker takes nothing."""
        if sum(map(len, self._unsent)) > MAX_UNSENT_BYTES:
            raise LinkLostError(str(self._address), "one that takes nothing")
        self._unsent.append(raw)
        self._wake()

    def close(self) -> None:
        """Have `serve` return."""
        self._is_closing = True
        self._wake()

    def release(self) -> None:
        """Let go of every socket, after `serve`."""
        for each in (self._tunnel, self._ours, self._theirs):
            if each is not None:
                each.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake already, or gone
            self._theirs.send(b"!")

    def _answer(self, tunnel: Tunnel) -> mqtt.Packet:
        until_s = time.monotonic() + CONNECT_S
        while (packet := self._read(tunnel)) is None:
            if not self._wait(tunnel, max(0.0, until_s - time.monotonic())):
                raise TimeoutError(f"no answer in {CONNECT_S:g} s")
        return packet

    def _read(self, tunnel: Tunnel) -> mqtt.Packet | None:
        """Return the next packet, or None until more of it comes."""
        reader = self._reader
        while count := tunnel.fill(reader.room()):
            packet = reader.took(count)
            if packet is not None:
                return packet
        return None

    def _is_any_left(self, tunnel: Tunnel) -> bool:
        """Say whether something came that is less than what wakes us; from here on, a byte does."""
        was_enough = self._wakes_at == 1
        self._wake_at(tunnel, 1)
        return not was_enough and self._wait(tunnel, 0.0)

    def _wake_at(self, tunnel: Tunnel, size: int) -> None:
        if size != self._wakes_at:
            tunnel.wake_at(size)
            self._wakes_at = size

    def _owe(self, tunnel: Tunnel, packet_id: int) -> None:
        self._owed.append(packet_id)
        if len(self._owed) >= ACKNOWLEDGE_EVERY:
            self._speak(tunnel)

    def _speak(self, tunnel: Tunnel) -> None:
        if self._owed:
            self._unsent.append(mqtt.acknowledge_all(self._owed))
            self._owed.clear()
        tunnel.flush()
        while self._unsent and not tunnel.unsent_bytes:
            tunnel.say(self._unsent.popleft())

    def _rest(self, tunnel: Tunnel) -> None:
        """Wait for something to do; a broker that does not answer a ping is gone."""
        silent_s = self._address.keepalive_s / 2
        if self._wait(tunnel, silent_s):
            return
        self._unsent.append(mqtt.PINGREQ)
        self._speak(tunnel)
        if not self._wait(tunnel, silent_s):
            raise TimeoutError(f"no answer to a ping in {silent_s:g} s")

    def _wait(self, tunnel: Tunnel, timeout_s: float) -> bool:
        """Wait, send what may be sent, and say whether anything happened."""
        readable: list[Tunnel | socket.socket] = [tunnel, self._ours]
        ready, free, _ = select.select(readable, [tunnel] if self._unsent or tunnel.unsent_bytes else [], [], timeout_s)
        if self._ours in ready:
            self._ours.recv(4096)
        if free or self._ours in ready:
            self._speak(tunnel)
        return bool(ready or free)
