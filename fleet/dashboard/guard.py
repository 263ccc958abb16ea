"""Stands before every page and websocket: lets nobody in without a session, nothing in from other sites, no page reach another host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.acting import Acting
from fleet.core.audit import detail_of
from fleet.core.roles import Caller
from fleet.dashboard.ports import AuditLog
from fleet.dashboard.session import Sessions, read_login

OPENID_PATHS = ("/login/openid", "/login/openid/return")
# The way in, and files that hold no data.
PUBLIC_PATHS = ("/login", "/favicon.ico", *OPENID_PATHS)
PUBLIC_FOLDERS = ("/dashboard-static/", "/_nicegui/")

# How the audit log names what came from another site.
FOREIGN = "dashboard.foreign"
# Where a request's state holds who sent it.
CALLER = "caller"
# NiceGUI's pages compile their templates in the browser, hence 'unsafe-eval'; nothing may come from, or go to, elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # A login link's code must not travel on; where a form comes from must be told to ourselves.
    "Referrer-Policy": "same-origin",
}
# Requests that change nothing may come from anywhere: a link in a mail opens a page.
LOOKING = frozenset({"GET", "HEAD"})
# Another site may make somebody's browser ask as often as it likes: it is told of no more often.
FOREIGN_EVERY = timedelta(seconds=10)


class Guard:
    """ASGI middleware; the cookie was read by the session middleware around it."""

    def __init__(self, app: ASGIApp, sessions: Sessions, log: AuditLog, now: Callable[[], datetime]) -> None:
        """Protect `app`; what other sites ask in the name of somebody who is signed in is told to `log`."""
        self._app = app
        self._sessions = sessions
        self._log = log
        self._now = now
        self._foreign_at: datetime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or send its sender to the way in."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        is_foreign = scope.get("method") not in LOOKING and comes_from_elsewhere(Headers(scope=scope))
        if is_foreign:
            await asyncio.to_thread(self._tell_of_foreign, scope)
        if not is_foreign and await self._may_pass(scope):
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif is_foreign:
            await PlainTextResponse("expected a page of this server, found another site", 403)(scope, receive, _with_headers(send))
        else:
            await RedirectResponse("/login", status_code=303)(scope, receive, _with_headers(send))

    async def _may_pass(self, scope: Scope) -> bool:
        """Say whether a request may go on, which then knows whose it is."""
        if is_public(_path_of(scope)):
            return True
        caller = await asyncio.to_thread(self._sessions.caller_of, read_login(scope["session"]))
        scope.setdefault("state", {})[CALLER] = caller
        return caller is not None

    def _tell_of_foreign(self, scope: Scope) -> None:
        caller, now = self._sessions.caller_of(read_login(scope["session"])), self._now()
        if caller is None or (self._foreign_at is not None and now < self._foreign_at + FOREIGN_EVERY):
            return
        self._foreign_at = now
        detail = detail_of({"origin": Headers(scope=scope).get("origin", "")})
        source = f"dashboard {address_of(scope.get('client'))}"
        self._log.add(Acting(now, source, FOREIGN, caller.who, caller.role.word, _path_of(scope), detail, outcome="refused"))


def address_of(client: Sequence[object] | None) -> str:
    """Return where a request comes from."""
    return str(client[0]) if client else "unknown"


def signed_in(request: Request) -> Caller:
    """Return who asks for a page behind the guard, and in which role."""
    caller: Caller = getattr(request.state, CALLER)
    return caller


def comes_from_elsewhere(headers: Headers) -> bool:
    """Say whether a browser sends this from a page of another site, or of another port here; what is no browser says nothing of it."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc != headers.get("host")
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def is_public(path: str) -> bool:
    """Say whether a path shows nothing of the fleet."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDERS)


def _path_of(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers
