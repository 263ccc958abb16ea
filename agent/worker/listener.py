"""Accepts on inherited listening sockets, bounds how many callers are served, and sees them off when it drains."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from time import monotonic

from agent.worker.connection import Connection, Service

MAX_CONNECTIONS = 256
ACCEPTS_AT_ONCE = 16
SWEEP_S = 1.0
# What closed connections may take to leave the loop.
GOODBYE_S = 0.5


class Listener:
    """The sockets stay open in the control process: a worker that stops accepting leaves the queue to the next one."""

    def __init__(self, sockets: Sequence[socket.socket], service: Service, max_body_bytes: int) -> None:
        self.is_draining = False
        self._sockets = sockets
        self._service = service
        self._max_body_bytes = max_body_bytes
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._arrivals: set[asyncio.Task[None]] = set()
        self._is_accepting = False
        self._has_emptied = asyncio.Event()

    def accept(self) -> None:
        """Begin, or go on, to accept connections."""
        if self._is_accepting or self.is_draining:
            return
        self._is_accepting = True
        for listening in self._sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening, self._accept_some, listening)

    async def sweep(self) -> None:
        """Close callers who dawdle, and go on accepting once there is room; for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = monotonic()
            for connection in tuple(self._connections):
                connection.check_patience(now)
            if len(self._connections) < MAX_CONNECTIONS:
                self.accept()

    async def drain(self, deadline_s: float) -> None:
        """Accept no more; each connection ends with its next response, and at the deadline in any case."""
        self.is_draining = True
        self._stop_accepting()
        for listening in self._sockets:
            listening.close()
        if not await self._emptied(deadline_s):
            for connection in tuple(self._connections):
                connection.end()
            await self._emptied(GOODBYE_S)

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._connections.add(connection)
        if len(self._connections) >= MAX_CONNECTIONS:
            self._stop_accepting()

    def closed(self, connection: Connection) -> None:
        """Forget one that has gone."""
        self._connections.discard(connection)
        self._has_emptied.set()

    def _accept_some(self, listening: socket.socket) -> None:
        is_trusted = listening.family == socket.AF_UNIX
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                caller, _address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return  # another worker was quicker, or the caller has left
            except OSError:
                self._stop_accepting()  # out of descriptors: the sweep tries again
                return
            caller.setblocking(False)
            arrival = self._loop.create_task(self._welcome(caller, is_trusted), name="arrival")
            self._arrivals.add(arrival)
            arrival.add_done_callback(self._arrivals.discard)

    async def _welcome(self, caller: socket.socket, is_trusted: bool) -> None:
        await self._loop.connect_accepted_socket(lambda: Connection(self, self._service, self._max_body_bytes, is_trusted), caller)

    def _stop_accepting(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            for listening in self._sockets:
                self._loop.remove_reader(listening)

    async def _emptied(self, deadline_s: float) -> bool:
        deadline = monotonic() + deadline_s
        while self._connections or self._arrivals:
            self._has_emptied.clear()
            try:
                await asyncio.wait_for(self._has_emptied.wait(), min(SWEEP_S, max(0.0, deadline - monotonic())))
            except asyncio.TimeoutError:
                if monotonic() >= deadline:
                    return False
        return True
