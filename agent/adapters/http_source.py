"""Touches servers that hold files by digest and answer ranges: the fleet's own, an object store, a content network."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio

from agent.core.basket import Basket
from agent.core.pieces import Piece, WantedFile
from agent.core.runs import first_run
from agent.errors import SourceAwayError, SourceFailedError
from contracts.chunks import CHUNK_BYTES, chunk_length

ANSWER_S = 20.0


Tls = Callable[[], ssl.SSLContext]


class HttpSource:
    """One server; redirections are not followed, because they lead to where nobody configured."""

    name = "https"

    def __init__(self, url: str, tls: Tls = ssl.create_default_context) -> None:
        """Ask for `<url>/<sha256>`; `tls` says at each connection whom we believe, and to our own fleet who we are."""
        self._url = urlsplit(url)
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    async def fill(self, basket: Basket, _bases: tuple[str, ...]) -> None:
        """Bring what is missing; raise SourceAwayError or SourceFailedError."""
        try:
            while run := first_run(basket.missing):
                if (wait_s := basket.ask_in_s()) > 0:
                    await anyio.sleep(wait_s)
                    continue
                pieces = await anyio.to_thread.run_sync(self._read, basket.wanted, run, abandon_on_cancel=True)
                if await basket.put(pieces):
                    raise SourceFailedError(f"{self._url.netloc}: expected chunks as their digests say, found others")
        finally:
            await self.rest()

    async def rest(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, wanted: WantedFile, run: range) -> list[Piece]:
        start, last = run[0] * CHUNK_BYTES, min(wanted.size, (run[-1] + 1) * CHUNK_BYTES) - 1
        if wanted.size == 0:
            return [Piece(0, b"")]
        connection = self._connection = self._connection or self._connect()
        headers = {"Range": f"bytes={start}-{last}"}
        try:
            connection.request("GET", f"{self._url.path.rstrip('/')}/{wanted.digest}", headers=headers)
            answer = connection.getresponse()
            expected = http.HTTPStatus.PARTIAL_CONTENT
            if answer.status != expected:
                raise SourceFailedError(f"{self._url.netloc}: expected status {expected.value}, found {answer.status}")
            if answer.getheader("Content-Range", "").partition("/")[0] != f"bytes {start}-{last}":
                raise SourceFailedError(f"{self._url.netloc}: expected bytes {start}-{last}, found another range")
            pieces = [Piece(index, answer.read(chunk_length(wanted.size, index))) for index in run]
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            raise SourceAwayError(f"{self._url.netloc}: expected an answer, found {error!r}") from error
        # An answer that was cut leaves the chunks before the cut.
        whole = [piece for piece in pieces if len(piece.payload) == chunk_length(wanted.size, piece.index)]
        if len(whole) < len(pieces):
            connection.close()
        if not whole:
            raise SourceAwayError(f"{self._url.netloc}: expected bytes {start}-{last}, found an answer that was cut")
        return whole

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, self._url.port, timeout=ANSWER_S, context=self._tls())
        return http.client.HTTPConnection(host, self._url.port, timeout=ANSWER_S)
