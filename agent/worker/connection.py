"""One caller's connection: answers in the order of the requests, and ends by a response rather than by a cut."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from agent.worker.http import Head, Request, Response
from agent.worker.reader import RequestReader

# Pipelined requests read ahead; beyond them the socket is not read.
MAX_WAITING = 16
# How long a caller may think between requests, take to send one, or leave answers unread.
IDLE_S = 75.0
# How long the other side may take to notice that we said our last word.
LINGER_S = 2.0


class Service(Protocol):
    """Who answers."""

    def refuse(self, head: Head) -> Response | None:
        """Judge a request by its head, before its body is read; None lets it in."""

    def answer(self, request: Request, done: Callable[[Response], None]) -> Response | None:
        """Answer at once, or return None and call `done` later."""


class Host(Protocol):
    """Who owns the connections."""

    is_draining: bool

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""

    def closed(self, connection: Connection) -> None:
        """Forget one that has gone."""


class Connection(asyncio.Protocol):
    """One request is answered at a time."""

    _transport: asyncio.Transport

    def __init__(self, host: Host, service: Service, max_body_bytes: int, is_trusted: bool) -> None:
        self._host = host
        self._service = service
        self._reader = RequestReader(service.refuse, max_body_bytes, is_trusted)
        self._waiting: deque[Request | Response] = deque()
        self._is_busy = False
        self._is_write_paused = False
        # The last response is written, or the caller has gone: whatever comes now is dropped.
        self._is_over = False
        self._has_caller_ended = False
        self._waits_since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the host's connections."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host.opened(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Leave them; an answer still under way will find nobody."""
        self._is_over = True
        self._waiting.clear()
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        """Read, and start on what is complete."""
        if self._is_over:
            return
        if self._reader.is_idle:
            self._waits_since = monotonic()
        self._waiting.extend(self._reader.feed(data))
        if self._reader.awaits_invitation and not self._is_busy and not self._waiting:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self._waiting) >= MAX_WAITING:
            self._transport.pause_reading()
        self._advance()

    def eof_received(self) -> bool:
        """Answer what was asked before the caller closed its side."""
        self._has_caller_ended = True
        return not self._is_over and (self._is_busy or bool(self._waiting))

    def pause_writing(self) -> None:
        """Begin no request while the caller does not read."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_write_paused = False
        self._advance()

    def check_patience(self, now: float) -> None:
        """Close a connection on which the caller has kept us waiting too long."""
        if not self._is_busy and now - self._waits_since > (LINGER_S if self._is_over else IDLE_S):
            self._transport.abort()

    def end(self) -> None:
        """Close at the end of a drain, whatever is under way."""
        if self._is_busy:
            self._transport.abort()
        else:
            self._transport.close()

    def _advance(self) -> None:
        while self._waiting and not (self._is_busy or self._is_write_paused or self._is_over):
            item = self._waiting.popleft()
            if isinstance(item, Response):
                self._write(item)
                continue
            self._is_busy = True
            response = self._service.answer(item, self._finish)
            if response is not None:
                self._is_busy = False
                self._write(response)

    def _finish(self, response: Response) -> None:
        self._is_busy = False
        if not self._is_over:
            self._write(response)
            self._advance()

    def _write(self, response: Response) -> None:
        is_last = not self._waiting and (self._reader.is_over or self._has_caller_ended or self._host.is_draining)
        self._transport.write(response.encode(is_last))
        self._waits_since = monotonic()
        if is_last:
            self._linger()
        elif len(self._waiting) < MAX_WAITING:
            self._transport.resume_reading()

    def _linger(self) -> None:
        """End our side, then read on and drop it: closing over unread bytes would destroy the response on its way."""
        self._is_over = True
        if self._has_caller_ended:
            self._transport.close()
        else:
            self._transport.resume_reading()
            self._transport.write_eof()
