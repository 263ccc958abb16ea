"""Speaks HTTP with one server by the standard library, over one connection that is kept from request to request."""

from __future__ import annotations

import http.client
import os
import select
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote

from contracts.errors import TooLargeError
from fleet.cli.server_url import ServerUrl
from fleet.cli.tunnel import find_tunnel
from fleet.errors.client import AnswerLostError, ServerUnreachableError

# What the server says in one piece; its longer lists come as pages.
MAX_ANSWER_BYTES = 64 << 20
BLOCK_BYTES = 1 << 17
# What a path and its query are made of; all else, such as a space that was typed within a name, is escaped.
PLAIN = "/?&=%+:@,;~!$'()*"
# A server that goes away says so, or just does.
CLOSED = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
LOST = (ConnectionError, ssl.SSLEOFError, http.client.IncompleteRead, http.client.BadStatusLine)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content: bytes

    @property
    def is_success(self) -> bool:
        """Say whether the server did what it was asked."""
        return 200 <= self.status < 300


class HttpLine:
    """One server; to be closed."""

    def __init__(self, url: ServerUrl, trusted: ssl.SSLContext | None, headers: Mapping[str, str]) -> None:
        """Prepare a connection, with TLS where somebody is trusted; `headers` go with every request."""
        self.url = url
        self._headers = headers
        self._connection = _prepared(url, trusted)

    def ask(self, method: str, path: str, body: bytes | BinaryIO | None, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Send a request and return its answer, each single wait of at most `timeout_s`.

        Raises ServerUnreachableError; AnswerLostError where the server may have done it; TooLargeError.
        """
        sized = {} if body is None or isinstance(body, bytes) else {"Content-Length": str(_left(body))}
        try:
            self._open(timeout_s)
            # A server may refuse before it has read all, and then its words count.
            with suppress(*CLOSED):
                self._connection.request(method, quote(self.url.path + path, safe=PLAIN), body, {**self._headers, **sized, **headers})
            return self._received(path)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ServerUnreachableError(str(self.url), str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connection; the next request would open another one."""
        self._connection.close()

    def _open(self, timeout_s: float) -> None:
        kept = self._connection.sock
        # Nothing comes unasked but the end.
        if kept is not None and select.select([kept], [], [], 0)[0]:
            self.close()
            kept = None
        self._connection.timeout = timeout_s
        if kept is None:
            self._connection.connect()
        else:
            kept.settimeout(timeout_s)

    def _received(self, path: str) -> Answer:
        try:
            response = self._connection.getresponse()
            # Asked for a number of bytes, it would take what was cut off for whole.
            is_sized = response.length is not None and response.length <= MAX_ANSWER_BYTES
            content = response.read() if is_sized else response.read(MAX_ANSWER_BYTES + 1)
        except LOST as error:
            self.close()
            raise AnswerLostError(str(self.url), str(error) or type(error).__name__) from error
        if len(content) > MAX_ANSWER_BYTES:
            self.close()
            raise TooLargeError(path, MAX_ANSWER_BYTES, len(content))
        return Answer(response.status, content)


def _prepared(url: ServerUrl, trusted: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if trusted is None:
        return http.client.HTTPConnection(url.host, url.port, blocksize=BLOCK_BYTES)
    tunnel = find_tunnel(url.host)
    if tunnel is None:
        return http.client.HTTPSConnection(url.host, url.port, context=trusted, blocksize=BLOCK_BYTES)
    connection = http.client.HTTPSConnection(tunnel.host, tunnel.port, context=trusted, blocksize=BLOCK_BYTES)
    connection.set_tunnel(url.host, url.port, dict(tunnel.headers))
    return connection


def _left(stream: BinaryIO) -> int:
    """Return how many bytes of a file are still to be read."""
    return os.fstat(stream.fileno()).st_size - stream.tell()
