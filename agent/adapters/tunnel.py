"""Touches a TCP socket that TLS runs over, and takes many records from the kernel at a time: the ssl module makes two calls for each."""

from __future__ import annotations

import socket
import ssl
from typing import cast

# So much is had from the kernel in one call.
TAKE_BYTES = 128 * 1024


class Tunnel:
    """One connection, for one thread; OSError comes through. Once it is open, nothing but `drain` waits."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> None:
        """Connect and shake hands; the timeout holds for each wait."""
        # What came and is still encrypted, and what is encrypted and still to go.
        self._came, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._left = memoryview(b"")
        self._raw = memoryview(bytearray(TAKE_BYTES))
        self._tls = context.wrap_bio(self._came, self._going, server_hostname=host)
        self._socket = socket.create_connection((host, port), timeout_s)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands()
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return what to wait at when `fill` found nothing, or `unsent_bytes` are left."""
        return self._socket.fileno()

    def wake_at(self, size: int) -> None:
        """Let the socket be ready to read only when so many bytes have come."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def fill(self, room: memoryview) -> int:
        """Put there what has come, as far as there is room, and return its bytes; 0 for nothing yet."""
        filled = 0
        while filled < len(room):
            try:
                # With a buffer it returns a count, which typeshed does not know.
                count = cast("int", self._tls.read(len(room) - filled, room[filled:]))
            except ssl.SSLWantReadError:
                if not self._take():
                    break
                continue
            if not count:
                raise ConnectionResetError("the broker hung up")
            filled += count
        return filled

    def say(self, raw: bytes) -> None:
        """Send all of it, now or by `flush`."""
        rest = memoryview(raw)
        while rest:
            rest = rest[self._tls.write(rest) :]
        self.flush()

    def flush(self) -> None:
        """Send what is left, as much as is taken now."""
        while self.unsent_bytes:
            self._left = self._left or memoryview(self._going.read())
            try:
                self._left = self._left[self._socket.send(self._left) :]
            except BlockingIOError:
                return

    @property
    def unsent_bytes(self) -> int:
        """Return how much is left to send, encrypted."""
        return len(self._left) + self._going.pending

    def drain(self, timeout_s: float) -> None:
        """Send what is left, waiting so long at most."""
        self._socket.settimeout(timeout_s)
        self._socket.sendall(bytes(self._left) + self._going.read())

    def close(self) -> None:
        """Let go of the socket; closing again changes nothing."""
        self._socket.close()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                pass
            finally:
                # Our words, of which the last may be why we refuse.
                self._socket.sendall(self._going.read())
            self._take()

    def _take(self) -> bool:
        """Have the kernel give what has come; say whether there was anything."""
        try:
            count = self._socket.recv_into(self._raw)
        except BlockingIOError:
            return False
        if count:
            self._came.write(self._raw[:count])
        else:
            self._came.write_eof()
        return True
