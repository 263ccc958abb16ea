"""Gives every answer to GET a validator, and answers `not modified` to who has it already (RFC 9110)."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/api/"
DIGITS = 16


class Etags:
    """ASGI middleware. The validator is a digest of the body, after the version that a route may have told already."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope["method"] == "GET", Headers(scope=scope).get("if-none-match", ""), send)
        await self._app(scope, receive, answer.send)


class _Answer:
    """One answer on its way: its head waits for its body."""

    def __init__(self, is_read: bool, known: str, send: Send) -> None:
        self._is_read = is_read
        self._known = known
        self._send = send
        self._head: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            is_good = 200 <= message["status"] < 300
            if is_good and "content-length" in headers and (self._is_read or "etag" in headers):
                self._head = message
                return
        elif self._head is not None and message["type"] == "http.response.body":
            head, self._head = self._head, None
            await self._finish(head, message)
            return
        await self._send(message)

    async def _finish(self, head: Message, body: Message) -> None:
        headers = MutableHeaders(raw=head["headers"])
        content = hashlib.sha256(body.get("body", b"")).hexdigest()[:DIGITS]
        version = headers.get("etag", "").strip('"')
        etag = f'"{version}.{content}"' if version else f'"{content}"'
        headers["ETag"] = etag
        if self._is_read and is_known(etag, self._known):
            del headers["content-length"]
            await self._send({**head, "status": 304})
            await self._send({**body, "body": b""})
            return
        await self._send(head)
        await self._send(body)


def is_known(etag: str, known: str) -> bool:
    """Say whether an If-None-Match names a validator, by the weak comparison that it asks for."""
    return known.strip() == "*" or etag in [each.strip().removeprefix("W/") for each in known.split(",")]
