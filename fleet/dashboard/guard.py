"""Stands before every page and websocket: lets nobody in without a session, and lets no page reach another host."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.dashboard.session import Sessions, read_login

# The way in, and files that hold no data.
PUBLIC_PATHS = ("/login", "/favicon.ico")
PUBLIC_FOLDERS = ("/dashboard-static/", "/_nicegui/")

# NiceGUI's pages compile their templates in the browser, hence 'unsafe-eval'; nothing may come from, or go to, elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # A login link's code must not travel on.
    "Referrer-Policy": "no-referrer",
}


class Guard:
    """ASGI middleware; the cookie was read by the session middleware around it."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        """Protect `app`."""
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or send its sender to the way in."""
        if scope["type"] not in ("http", "websocket") or is_public(_path_of(scope)) or self._sessions.is_open(read_login(scope["session"])):
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await RedirectResponse("/login", status_code=303)(scope, receive, _with_headers(send))


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
