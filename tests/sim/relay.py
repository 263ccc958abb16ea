"""A link that a test can cut: passes bytes between a device and its broker."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Relay:
    """Listens on a port of its own until it is closed."""

    def __init__(self, broker_port: int) -> None:
        """Pass on to the broker at a port."""
        self._broker_port = broker_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
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
            threading.Thread(target=self._pass, args=(device, broker), daemon=True).start()
            threading.Thread(target=self._pass, args=(broker, device), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                target.sendall(block)
        self._end(source, target)

    def _end(self, *ends: socket.socket) -> None:
        for each in ends:
            self._open.discard(each)
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
