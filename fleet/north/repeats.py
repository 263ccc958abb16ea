"""Carries out a request that names an idempotency key once, however often it comes: later ones get the first one's answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.errors import FieldfareError, TooLargeError
from fleet.core.repeats import KeptAnswer
from fleet.core.roles import Caller
from fleet.errors.repeats import UnreadableKeyError
from fleet.north.body_limit import MAX_BODY_BYTES
from fleet.north.problems import problem_of
from fleet.sealing import owner_of, seal, unseal

API = "/api/"
HEADER = "idempotency-key"
BEARER = "bearer "
# Tells that an answer was given before.
REPLAYED = "Idempotent-Replayed"
KEY = r"^[!-~]{1,255}$"
_KEY = re.compile(KEY)


class Access(Protocol):
    """Who may enter."""

    def caller_of(self, token: str, now: datetime) -> Caller | None:
        """Return who comes with a token; None when it may not even enter."""


class Kept(Protocol):
    """Where answers are kept for a while."""

    def claim(self, owner: str, key: str, request_sha256: str, now: datetime) -> KeptAnswer | None:
        """Return what a request was answered before; None for a new one, which is then under way; raise what tells why neither."""

    def keep(self, owner: str, key: str, answer: KeptAnswer) -> None:
        """Keep the answer of a request that is under way."""

    def release(self, owner: str, key: str) -> None:
        """Forget a request that changed nothing."""


class Repeats:
    """ASGI middleware for POST."""

    def __init__(self, app: ASGIApp, access: Access, kept: Kept, now: Callable[[], datetime]) -> None:
        """Wrap an application."""
        self._app = app
        self._access = access
        self._kept = kept
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer in its place."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        key, token = headers.get(HEADER), _token(headers)
        if key is None or scope["method"] != "POST" or not scope["path"].startswith(API) or not await self._may_enter(token):
            await self._app(scope, receive, send)
            return
        try:
            if not _KEY.match(key):
                raise UnreadableKeyError
            body = await _read(receive)
            about = f"{owner_of(token)} {key}"
            request = _digest(scope, headers, body)
            found = await to_thread.run_sync(self._kept.claim, owner_of(token), key, request, self._now())
            plain = b"" if found is None else unseal(token, f"{about} {request}", found.sealed)
        except FieldfareError as error:
            await problem_of(error)(scope, receive, send)
            return
        if found is not None:
            await _again(found, plain)(scope, receive, send)
            return
        answer = _Answer(send)
        await self._app(scope, _given(body, receive), answer.send)
        await self._note(token, key, partial(seal, token, f"{about} {request}"), answer)

    async def _may_enter(self, token: str) -> bool:
        return bool(token) and await to_thread.run_sync(self._access.caller_of, token, self._now()) is not None

    async def _note(self, token: str, key: str, sealed: Callable[[bytes], bytes], answer: _Answer) -> None:
        """Keep a good answer; what the server itself broke stays claimed, because nobody knows whether it took effect."""
        if 200 <= answer.status < 300:
            kept = KeptAnswer(answer.status, answer.etag, sealed(bytes(answer.body)))
            await to_thread.run_sync(self._kept.keep, owner_of(token), key, kept)
        elif answer.status < 500:
            await to_thread.run_sync(self._kept.release, owner_of(token), key)
        await answer.flush()


class _Answer:
    """An answer that is held back until it is kept: who has it may rely on that."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self.status = 0
        self.etag = ""
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.etag = Headers(raw=message["headers"]).get("etag", "")
        else:
            self.body += message.get("body", b"")
        self._held.append(message)

    async def flush(self) -> None:
        for message in self._held:
            await self._send(message)


def _again(found: KeptAnswer, body: bytes) -> Response:
    headers = {REPLAYED: "true", **({"ETag": found.etag} if found.etag else {})}
    return Response(body, found.status, headers, media_type="application/json" if body else None)


def _token(headers: Headers) -> str:
    scheme = headers.get("authorization", "")
    return scheme[len(BEARER) :].strip() if scheme.lower().startswith(BEARER) else ""


async def _read(receive: Receive) -> bytes:
    """Return a body; raise TooLargeError."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError("body", MAX_BODY_BYTES, len(body))
        if not message.get("more_body", False):
            return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    """Return what hands a body on that was read already."""
    waiting = [body]

    async def give() -> Message:
        return {"type": "http.request", "body": waiting.pop(), "more_body": False} if waiting else await receive()

    return give


def _digest(scope: Scope, headers: Headers, body: bytes) -> str:
    """Return what tells one request from another."""
    head = [scope["path"], scope["query_string"].decode("latin-1"), headers.get("if-match", ""), headers.get("content-type", "")]
    return hashlib.sha256("\n".join(head).encode() + b"\n\n" + body).hexdigest()
