"""Takes connections from balancers that say who comes, before TLS begins on them: touches sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

import anyio

from fleet.core import proxy_header
from fleet.core.proxy_header import Address
from fleet.errors.server import ProxyHeaderError
from fleet.proxies import Proxies

# A balancer speaks at once; a client shows its certificate soon after.
HEADER_S = 5.0
HANDSHAKE_S = 10.0
# Connections on which nobody is known yet; others wait in the kernel.
MAX_STRANGERS = 1024
# When files are used up, accepting fails at once and again.
PAUSE_S = 1.0

log = logging.getLogger("fleet.doors")


class Introductions:
    """One door: who comes by a named balancer begins with a header of the PROXY protocol, and nobody else may."""

    def __init__(self, proxies: Proxies, context: ssl.SSLContext, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Speak TLS by `context`, and hand each connection to a `protocol` of its own."""
        self._proxies = proxies
        self._context = context
        self._protocol = protocol
        self._room = anyio.Semaphore(MAX_STRANGERS)

    async def accept(self, listener: socket.socket) -> None:
        """Let in whoever comes, until cancelled."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as tasks:
            while True:
                await self._room.acquire()
                try:
                    connection, peer = await loop.sock_accept(listener)
                except OSError as error:
                    self._room.release()
                    log.warning("a connection was not taken: %s", error)
                    await anyio.sleep(PAUSE_S)
                    continue
                tasks.start_soon(self._introduce, connection, str(peer[0]), name="introduction")

    async def _introduce(self, connection: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            told = await _told(loop, connection) if self._proxies.introduces(peer) else None
            known = _Introduced(connection, told)
            await loop.connect_accepted_socket(self._protocol, known, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S)
        except ProxyHeaderError as error:
            log.warning("%s: %s", peer, error)
        except OSError as error:  # also what TLS finds wrong
            log.debug("%s: %s", peer, error)
        finally:
            connection.close()  # has let go of what was handed on
            self._room.release()


class _Introduced(socket.socket):
    """A connection whose other end is who the balancer says; it takes the place of the one it is made from."""

    def __init__(self, connection: socket.socket, told: Address | None) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self.setblocking(False)
        self._told = told

    def getpeername(self) -> Address:
        found: Address = self._told or super().getpeername()
        return found


async def _told(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> Address | None:
    """Read the header; raise ProxyHeaderError, also when it does not come soon."""
    try:
        with anyio.fail_after(HEADER_S):
            return await _header(loop, connection)
    except TimeoutError as error:
        raise ProxyHeaderError(f"none within {HEADER_S:g} s") from error


async def _header(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> Address | None:
    """Read a header and not a byte more, for TLS follows."""
    head = await _exactly(loop, connection, proxy_header.FIRST_BYTES)
    if proxy_header.is_line(head):
        while not head.endswith(b"\r\n"):
            if len(head) >= proxy_header.MAX_LINE_BYTES:
                raise ProxyHeaderError(f"{head!r}")
            head += await _exactly(loop, connection, 1)
        return proxy_header.read_line(head)
    head += await _exactly(loop, connection, proxy_header.HEAD_BYTES - len(head))
    return proxy_header.read_rest(head, await _exactly(loop, connection, proxy_header.rest_bytes(head)))


async def _exactly(loop: asyncio.AbstractEventLoop, connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        block = await loop.sock_recv(connection, count - len(found))
        if not block:
            raise ProxyHeaderError(f"the end after {found!r}")
        found += block
    return found
