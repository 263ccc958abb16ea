"""Turns a caller's bytes into requests and refusals, in bounded memory; knows neither sockets nor models."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import httptools

from agent.worker.http import Head, Request, Response

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_LENGTH_DIGITS = 18


class RequestReader:
    """Reads one connection; after a refusal or a last request `is_over`, and all further bytes are dropped."""

    def __init__(self, refuse: Callable[[Head], Response | None], max_body_bytes: int, is_trusted: bool) -> None:
        self.is_over = False
        # Between two requests; and: a caller holds its body back until it is invited.
        self.is_idle = True
        self.awaits_invitation = False
        self._refuse = refuse
        self._max_body_bytes = max_body_bytes
        self._is_trusted = is_trusted
        self._parser = httptools.HttpRequestParser(self)
        self._items: list[Request | Response] = []
        # Bytes since this request began that are no body; those of the chunk being parsed.
        self._overhead_bytes = self._chunk_overhead_bytes = 0
        self._head: Head | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def feed(self, data: bytes) -> list[Request | Response]:
        """Return what `data` completes: requests to answer, and at most one refusal, the last."""
        if self.is_over:
            return []
        self.awaits_invitation = False
        self._chunk_overhead_bytes = len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._reject(Response.error(400, f"request: expected HTTP/1.1, found {error}"))
        self._overhead_bytes += max(0, self._chunk_overhead_bytes)
        if self._overhead_bytes > MAX_HEAD_BYTES:
            self._reject(_too_long_a_head())
        items, self._items = self._items, []
        return items

    # What the parser calls; an exception here would hide in its own.

    def on_message_begin(self) -> None:
        """Start a request."""
        self.is_idle = False
        self._head, self._url, self._headers, self._head_bytes = None, b"", {}, 0
        self._body, self._body_bytes = [], 0
        # What this chunk holds of the request before is not held against this one.
        self._overhead_bytes = self._chunk_overhead_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers are counted and dropped."""
        self._count_head(len(name) + len(value) + 4)
        if self._head is None and not self.is_over:
            self._headers[name.lower()] = value
            if len(self._headers) > MAX_HEADERS:
                self._reject(_too_long_a_head())

    def on_headers_complete(self) -> None:
        """Refuse what need not be read."""
        if self.is_over:
            return
        path = self._url.partition(b"?")[0].decode("latin-1")
        self._head = Head(self._parser.get_method().decode(), path, self._headers, self._is_trusted)
        length = self._headers.get(b"content-length", b"0").strip()
        if self._parser.should_upgrade():
            self._reject(Response.error(400, "request: expected no upgrade, found one"))
        elif (refusal := self._refuse(self._head)) is not None:
            self._reject(refusal)
        elif len(length) > MAX_LENGTH_DIGITS or int(length) > self._max_body_bytes:
            self._reject(self._too_large())
        else:
            self.awaits_invitation = self._headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        """Collect the body, up to the limit."""
        self.awaits_invitation = False
        self._chunk_overhead_bytes -= len(body)
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body_bytes:
            self._reject(self._too_large())
        elif not self.is_over:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand the request out."""
        if self.is_over or self._head is None:
            return
        self.is_idle = True
        self.awaits_invitation = False
        is_last = not self._parser.should_keep_alive()
        self._items.append(Request(self._head, b"".join(self._body), perf_counter()))
        self._body = []
        self.is_over = is_last

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._reject(_too_long_a_head())

    def _too_large(self) -> Response:
        return Response.error(413, f"body: expected at most {self._max_body_bytes} bytes, found more")

    def _reject(self, response: Response) -> None:
        if not self.is_over:
            self.is_over = True
            self._body = []
            self._items.append(response)


def _too_long_a_head() -> Response:
    return Response.error(431, f"head: expected at most {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers, found more")
