"""Bounds how much of a request's body the API takes into memory; uploads, which are streamed to disk, count for themselves."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20
API = "/api/"
UPLOADS = "/api/v1/artifacts/"


class BodyLimit:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with a counted body."""
        path = scope.get("path", "")
        is_bounded = scope["type"] == "http" and path.startswith(API) and not path.startswith(UPLOADS)
        await self._app(scope, _counted(receive) if is_bounded else receive, send)


def _counted(receive: Receive) -> Receive:
    total = 0

    async def count() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {MAX_BODY_BYTES} bytes, found more")
        return message

    return count
