"""Stands where the dashboard will be: the first request for a page builds it, so that a server starts without all that draws pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from anyio import to_thread
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from fleet.dashboard.ports import AuditLog, Services
from fleet.dashboard.session import Sessions


def mount(app: FastAPI, services: Services, sessions: Sessions, log: AuditLog, storage_secret: str) -> None:
    """Put the dashboard on `app`, once per process and after all other routes: it takes every path that is left.

    `sessions` lets people in; `storage_secret` signs the cookies.
    """

    def build() -> FastAPI:
        from fleet.dashboard.app import build_pages

        return build_pages(services, sessions, log, storage_secret)

    dashboard = LateDashboard(build)
    app.mount("/", dashboard)
    app.router.lifespan_context = dashboard.life


class LateDashboard:
    """An ASGI application that becomes another one when it is first asked for anything."""

    def __init__(self, build: Callable[[], FastAPI]) -> None:
        """Make it by `build`, which blocks for about a second."""
        self._build = build
        self._built: FastAPI | None = None
        self._turn = anyio.Lock()
        self._end = AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; whoever comes while it is built waits for it."""
        await (self._built or await self._ready())(scope, receive, send)

    async def _ready(self) -> FastAPI:
        async with self._turn:
            if self._built is None:
                built = await to_thread.run_sync(self._build)
                await self._end.enter_async_context(built.router.lifespan_context(built))
                self._built = built
        return self._built

    @asynccontextmanager
    async def life(self, _: FastAPI) -> AsyncIterator[None]:
        """End what was built when the server ends."""
        async with self._end:
            yield
