"""Notes every request that is to change something: with its change where the database keeps that, or else with its answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus

from anyio import CancelScope, to_thread
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.acting import MACHINE, Acting, acting
from fleet.core.audit import what_of
from fleet.north.ports import AuditLog

LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
# They answer what would be, and change nothing.
HARMLESS = frozenset(
    ("POST", path) for path in ("/rollouts/preview", "/rollouts/preview/chosen", "/rollouts/preview/excluded", "/configurations/trial")
)
# A machine that fails to enrol is told of no more often: nobody needs a name to try.
MACHINES_EVERY = timedelta(seconds=10)
# Of a larger body nothing is told.
MAX_BODY_BYTES = 64 * 1024
HEADER = "X-Request-Id"


class AuditTrail:
    """ASGI middleware around the API below `prefix`; who did not say who he is, and was refused, leaves no row."""

    def __init__(self, app: ASGIApp, prefix: str, log: AuditLog, now: Callable[[], datetime]) -> None:
        """Note what comes to `app`."""
        self._app = app
        self._prefix = prefix
        self._log = log
        self._now = now
        self._machine_refused_at: datetime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; its answer waits until its row is kept."""
        path = scope.get("path", "")
        if scope["type"] != "http" or scope["method"] in LOOKING or not path.startswith(f"{self._prefix}/"):
            await self._app(scope, receive, send)
            return
        client = scope.get("client") or ("unknown",)
        what = what_of(scope["method"], path.removeprefix(self._prefix))
        act = Acting(self._now(), f"api {client[0]}", what, request=secrets.token_hex(8))

        async def receive_and_note() -> Message:
            message = await receive()
            if len(act.body) <= MAX_BODY_BYTES:
                act.body += message.get("body", b"")
            return message

        is_answered = False

        async def note_and_send(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                await self._close(act, scope, message["status"])
                MutableHeaders(scope=message)[HEADER] = act.request
            await send(message)

        with acting(act):
            try:
                await self._app(scope, receive_and_note, note_and_send)
            finally:
                if not is_answered:  # a defect, or a caller who left: what came of it is not known
                    with CancelScope(shield=True):
                        await self._close(act, scope, HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _close(self, act: Acting, scope: Scope, status: int) -> None:
        is_harmless = (scope["method"], scope["path"].removeprefix(self._prefix)) in HARMLESS
        if act.is_kept or is_harmless or not act.who:
            return
        act.outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
        if act.who == MACHINE and act.outcome == "refused":
            if self._machine_refused_at is not None and act.at < self._machine_refused_at + MACHINES_EVERY:
                return
            self._machine_refused_at = act.at
        await to_thread.run_sync(self._log.add, act)
