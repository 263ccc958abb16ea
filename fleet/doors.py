"""Serves the one application at two doors: in the clear to this machine alone, and with TLS to everybody else."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import anyio
import uvicorn
from fastapi import FastAPI

from fleet.errors import CannotListenError

STOP_GRACE_S = 3


class Doors:
    """Both servers, which start one after the other and stop together."""

    def __init__(self, app: FastAPI, identity: Path, announce: Callable[[], None]) -> None:
        """Show `identity`, a PEM file of key and certificate, at the door with TLS; call `announce` once both are open."""
        self._identity = identity
        self._inside_is_open = anyio.Event()
        self._inside = _Server(_config(app), self._inside_is_open.set)
        # The application is started by the other one.
        self._outside = _Server(_config(app, lifespan="off", ssl_certfile=identity, ssl_keyfile=identity), announce)

    def reload(self) -> None:
        """Show another certificate from the next connection on."""
        context = self._outside.config.ssl
        if context is not None:
            context.load_cert_chain(self._identity)

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


@contextmanager
def bound(host: str, port: int, option: str) -> Iterator[socket.socket]:
    """Yield a listening socket; raise CannotListenError naming the option that chooses another port."""
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise CannotListenError(host, port, error.strerror or str(error), option) from error
    with listener:
        yield listener


def _config(
    app: FastAPI, *, lifespan: Literal["auto", "off"] = "auto", ssl_certfile: Path | None = None, ssl_keyfile: Path | None = None
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan=lifespan,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
        log_level="warning",
        timeout_graceful_shutdown=STOP_GRACE_S,
        proxy_headers=False,
        server_header=False,
    )
