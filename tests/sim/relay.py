"""A link that a test can cut: passes bytes between a device and its broker, and counts the chunks that reach the device."""

from __future__ import annotations

import collections
import contextlib
import socket
import threading
import time

from contracts.topics import ChunkTopic, parse_chunk

PUBLISH = 3


class Relay:
    """Listens on a port of its own until it is closed."""

    def __init__(self, broker_port: int) -> None:
        """Pass on to the broker at a port."""
        self._broker_port = broker_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        # How often each chunk went to the device, whole.
        self.chunks: collections.Counter[ChunkTopic] = collections.Counter()
        self._open: set[socket.socket] = set()
        self._closed_until_s = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, for_s: float) -> None:
        """End every connection, and refuse new ones for a while."""
        self._closed_until_s = time.monotonic() + for_s
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()
        self.cut(3600)

    def _accept(self) -> None:
        while True:
            try:
                device, _ = self._listener.accept()
            except OSError:
                return
            try:
                if time.monotonic() < self._closed_until_s:
                    raise ConnectionRefusedError
                broker = socket.create_connection(("127.0.0.1", self._broker_port), 5)
                broker.settimeout(None)
            except OSError:
                device.close()
                continue
            self._open |= {device, broker}
            threading.Thread(target=self._up, args=(device, broker), daemon=True).start()
            threading.Thread(target=self._down, args=(broker, device), daemon=True).start()

    def _up(self, device: socket.socket, broker: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := device.recv(1 << 16):
                broker.sendall(block)
        self._end(device, broker)

    def _down(self, broker: socket.socket, device: socket.socket) -> None:
        stream = broker.makefile("rb")
        with contextlib.suppress(OSError):
            while head := stream.read(1):
                size, length = 0, b""
                while not length or length[-1] & 0x80:
                    length += stream.read(1)
                    size |= (length[-1] & 0x7F) << 7 * (len(length) - 1)
                body = stream.read(size)
                device.sendall(head + length + body)
                chunk = parse_chunk(body[2 : 2 + int.from_bytes(body[:2], "big")].decode()) if head[0] >> 4 == PUBLISH else None
                if chunk is not None:
                    self.chunks[chunk] += 1
        self._end(device, broker)

    def _end(self, *ends: socket.socket) -> None:
        for each in ends:
            self._open.discard(each)
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
