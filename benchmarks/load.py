"""Drives an HTTP server: callers that each send the same bytes again as soon as the answer is there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Load:
    """What a run came to."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float


class _Caller(asyncio.Protocol):
    """One connection; answers must carry Content-Length and status 200."""

    def __init__(self, request: bytes, latencies_s: list[float]) -> None:
        self._request = request
        self._latencies_s = latencies_s
        self._buffer = b""
        self.is_stopping = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        assert head.startswith(b"HTTP/1.1 200"), head
        self._latencies_s.append(perf_counter() - self._sent_at)
        self._buffer = b""
        if self.is_stopping:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_stopping and exc is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(self._request)


def drive(port: int, request: bytes, *, callers: int, duration_s: float) -> Load:
    """Load a server on this machine for a while."""
    return asyncio.run(_drive(port, request, callers, duration_s))


async def _drive(port: int, request: bytes, callers: int, duration_s: float) -> Load:
    latencies_s: list[float] = []
    loop = asyncio.get_running_loop()
    started = perf_counter()
    connections = [(await loop.create_connection(lambda: _Caller(request, latencies_s), "127.0.0.1", port))[1] for _ in range(callers)]
    await asyncio.sleep(duration_s)
    for connection in connections:
        connection.is_stopping = True
    await asyncio.wait_for(asyncio.gather(*(connection.ended for connection in connections)), 10)
    elapsed_s = perf_counter() - started
    ordered = sorted(latencies_s)
    return Load(len(ordered) / elapsed_s, ordered[len(ordered) // 2] * 1000, ordered[len(ordered) * 99 // 100] * 1000)


def _content_length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0])
