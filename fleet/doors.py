"""Serves the one application at two doors: in the clear to this machine alone, and with TLS to everybody else."""

from __future__ import annotations

import signal
import socket
import ssl
from asyncio import Transport
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from fleet.errors.server import CannotListenError
from fleet.introductions import Introductions
from fleet.north.peer import PEER, Peer
from fleet.proxies import NOBODY, Proxies

STOP_GRACE_S = 3


@dataclass(frozen=True)
class Papers:
    """PEM files: the key and certificate that the door with TLS shows, and the authority whose certificates it believes."""

    identity: Path
    authority: Path


class Doors:
    """Both servers, which start one after the other and stop together."""

    def __init__(self, app: FastAPI, papers: Papers, announce: Callable[[], None], proxies: Proxies = NOBODY) -> None:
        """Call `announce` once both are open; `proxies` may say on whose behalf they come."""
        self._identity = papers.identity
        self._inside_is_open = anyio.Event()
        forwarding = {"proxy_headers": bool(proxies.forwarding), "forwarded_allow_ips": list(map(str, proxies.forwarding))}
        self._inside = _Server(_config(app, **forwarding), self._inside_is_open.set)
        with_tls = _config(
            _SecureCookies(app),
            lifespan="off",  # the application is started by the other one
            ssl_certfile=papers.identity,
            ssl_keyfile=papers.identity,
            ssl_ca_certs=papers.authority,
            # People show a token instead, and a machine that enrols has nothing yet.
            ssl_cert_reqs=ssl.CERT_OPTIONAL,
            http=_Meeting,
            **forwarding,
        )
        with_tls.load()  # makes the context, which may be told more before the door is open
        assert with_tls.ssl is not None
        self._context = with_tls.ssl
        self._outside = _Introducing(with_tls, announce, proxies) if proxies.introducing else _Server(with_tls, announce)

    def reload(self) -> None:
        """Show another certificate from the next connection on."""
        self._context.load_cert_chain(self._identity)

    def believe(self, authority: str) -> None:
        """Believe another authority, in PEM, beside those of before, from the next connection on."""
        self._context.load_verify_locations(cadata=authority)

    async def serve(self, inside: socket.socket, outside: socket.socket) -> None:
        """Serve until SIGINT or SIGTERM."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop_on_signal, name="signals")
            async with anyio.create_task_group() as servers:
                servers.start_soon(self._serve_inside, inside, name="inside")
                await self._inside_is_open.wait()
                servers.start_soon(self._serve_outside, outside, name="outside")
            tasks.cancel_scope.cancel()

    async def _serve_inside(self, listener: socket.socket) -> None:
        await self._inside.serve(sockets=[listener])

    async def _serve_outside(self, listener: socket.socket) -> None:
        await self._outside.serve(sockets=[listener])

    async def _stop_on_signal(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self._inside.should_exit = self._outside.should_exit = True


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals to us, so that the broker is stopped after it, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Introducing(_Server):
    """One that takes connections by itself, because some begin with who comes."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], proxies: Proxies) -> None:
        super().__init__(config, announce)
        self._proxies = proxies
        self._listeners: list[socket.socket] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._listeners = sockets or []
        await super().startup([])

    async def main_loop(self) -> None:
        assert self.config.ssl is not None
        introductions = Introductions(self._proxies, self.config.ssl, self._meet)
        async with anyio.create_task_group() as tasks:
            for listener in self._listeners:
                tasks.start_soon(introductions.accept, listener, name="introductions")
            await super().main_loop()
            tasks.cancel_scope.cancel()

    def _meet(self) -> _Meeting:
        return _Meeting(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


class _SecureCookies:
    """What is set on this door must not be sent by the one in the clear, wherever a link may lead the browser."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_flag(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [_with_flag(name, value) for name, value in message["headers"]]}
            await send(message)

        await self._app(scope, receive, send_with_flag)


def _with_flag(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, value + b"; secure") if name.lower() == b"set-cookie" else (name, value)


@contextmanager
def bound(host: str, port: int, option: str) -> Iterator[socket.socket]:
    """Yield a listening socket; raise CannotListenError naming the option that chooses another port."""
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise CannotListenError(host, port, error.strerror or str(error), option) from error
    with listener:
        # Handed on to every connection. asyncio would set it, but not on sockets that were made without naming TCP; without it the second
        # part of each answer waits for the client's delayed acknowledgement, some 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


class _Meeting(H11Protocol):
    """A connection that tells the application whose certificate was shown on it."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # of uvicorn's own type for the same
        super().connection_made(transport)
        peer = _peer_of(transport.get_extra_info("ssl_object"))
        if peer is not None:
            application: Any = self.app

            async def introduced(scope: Scope, receive: Receive, send: Send) -> None:
                await application({**scope, PEER: peer}, receive, send)

            self.app = introduced


def _peer_of(connection: ssl.SSLObject) -> Peer | None:
    shown = connection.getpeercert()
    if not shown:
        return None
    subject: Any = shown["subject"]
    names = [value for part in subject for key, value in part if key == "commonName"]
    return Peer(names[0], f"{int(str(shown['serialNumber']), 16):x}") if names else None


def _config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=STOP_GRACE_S, server_header=False, **options)
