"""Touches servers that hold files by digest and answer ranges: the fleet's own, an object store, a content network."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from itertools import cycle
from urllib.parse import SplitResult, urlsplit

import anyio

from agent.core.basket import Basket
from agent.core.pieces import Piece, WantedFile
from agent.core.runs import MAX_RUN_CHUNKS, first_run
from agent.errors import FetchError, SourceAwayError, SourceFailedError
from contracts.chunks import CHUNK_BYTES, Bitmap

ANSWER_S = 20.0
# Our server, where it leads, and once more after a link that has ended.
MAX_TURNS = 4
LEADS = frozenset({http.HTTPStatus.FOUND, http.HTTPStatus.TEMPORARY_REDIRECT})
# What an object store answers to a link that has ended.
ENDED = frozenset({http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN})

Tls = Callable[[], ssl.SSLContext]


class HttpSource:
    """One server that holds files by digest."""

    name = "https"

    def __init__(self, url: str, tls: Tls = ssl.create_default_context, *, may_lead: bool = False) -> None:
        """Ask for `<url>/<sha256>`; `tls` says at each connection whom we believe, and to our own fleet who we are.

        A server that `may_lead` may name an https:// link for a file, as of an object store, which is told nothing of us.
        """
        self._own = urlsplit(url)
        self._tls = tls
        self._may_lead = may_lead
        # Where our server led us for the file that is being read.
        self._link: SplitResult | None = None
        self._connection: http.client.HTTPConnection | None = None

    async def fill(self, basket: Basket, _bases: tuple[str, ...]) -> None:
        """Bring what is missing, keeping one run while the next comes; raise SourceAwayError or SourceFailedError."""
        missing, came = basket.missing, list[Piece]()
        # Not those of another call, whose reading thread may have been left behind.
        rooms = cycle(memoryview(bytearray(min(basket.wanted.size, MAX_RUN_CHUNKS * CHUNK_BYTES))) for _ in range(2))
        try:
            while missing or came:
                came = await self._turn(basket, came, missing, next(rooms))
                missing = missing.without(*(piece.index for piece in came))
        finally:
            await self.rest()

    async def rest(self) -> None:
        """Close the connection."""
        self._hang_up()
        self._link = None

    @property
    def _host(self) -> str:
        return (self._link or self._own).netloc

    async def _turn(self, basket: Basket, came: list[Piece], missing: Bitmap, room: memoryview) -> list[Piece]:
        """Keep what came, and return what comes meanwhile; raise once both are done."""
        brought: list[Piece] = []
        faults: list[OSError | FetchError] = []

        async def keep() -> None:
            try:
                if await basket.put(came):
                    faults.append(SourceFailedError(f"{self._host}: expected chunks as their digests say, found others"))
            except OSError as error:
                faults.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep, name="keep")
            try:
                brought = await self._bring(basket, missing, room)
            except FetchError as error:
                faults.append(error)
        if faults:
            raise faults[0]
        return brought

    async def _bring(self, basket: Basket, missing: Bitmap, room: memoryview) -> list[Piece]:
        """Return the next pieces, in `room`; none when none is missing, or after a wait for their time."""
        run = first_run(missing)
        if not run:
            return []
        if (wait_s := basket.ask_in_s()) > 0:
            await anyio.sleep(wait_s)
            return []
        return await anyio.to_thread.run_sync(self._read, basket.wanted, run, room, abandon_on_cancel=True)

    def _read(self, wanted: WantedFile, run: range, room: memoryview) -> list[Piece]:
        start, last = run[0] * CHUNK_BYTES, min(wanted.size, (run[-1] + 1) * CHUNK_BYTES) - 1
        if wanted.size == 0:
            return [Piece(0, b"")]
        room = room[: last + 1 - start]
        try:
            answer = self._asked(wanted.digest, f"bytes={start}-{last}")
            if answer.getheader("Content-Range", "").partition("/")[0] != f"bytes {start}-{last}":
                raise SourceFailedError(f"{self._host}: expected bytes {start}-{last}, found another range")
            filled = _fill_from(answer, room)
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            raise SourceAwayError(f"{self._host}: expected an answer, found {error!r}") from error
        # An answer that was cut leaves the chunks before the cut.
        if filled < len(room):
            self._hang_up()
            room = room[: filled - filled % CHUNK_BYTES]
        if not room:
            raise SourceAwayError(f"{self._host}: expected bytes {start}-{last}, found an answer that was cut")
        return [Piece(run[0] + place // CHUNK_BYTES, room[place : place + CHUNK_BYTES]) for place in range(0, len(room), CHUNK_BYTES)]

    def _asked(self, digest: str, wanted: str) -> http.client.HTTPResponse:
        """Return the answer with a part of a file, from our server or from where it leads; raise SourceFailedError for any other."""
        for _ in range(MAX_TURNS):
            connection = self._connection = self._connection or self._connect()
            connection.request("GET", self._path(digest), headers={"Range": wanted})
            answer = connection.getresponse()
            if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
                return answer
            if self._link is not None and answer.status in ENDED:
                self._turn_to(None)
            elif self._link is None and self._may_lead and answer.status in LEADS:
                self._turn_to(_secure(answer.getheader("Location", "")))
            else:
                break
        raise SourceFailedError(f"{self._host}: expected status {http.HTTPStatus.PARTIAL_CONTENT.value}, found {answer.status}")

    def _path(self, digest: str) -> str:
        link = self._link
        return f"{self._own.path.rstrip('/')}/{digest}" if link is None else f"{link.path}?{link.query}"

    def _turn_to(self, link: SplitResult | None) -> None:
        self._hang_up()
        self._link = link

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        place, tls = (self._own, self._tls) if self._link is None else (self._link, ssl.create_default_context)
        if place.scheme == "https":
            return http.client.HTTPSConnection(place.hostname or "", place.port, timeout=ANSWER_S, context=tls())
        return http.client.HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_S)


def _fill_from(answer: http.client.HTTPResponse, room: memoryview) -> int:
    """Read until the room is full or the answer ends; return how much came."""
    filled = 0
    while filled < len(room) and (count := answer.readinto(room[filled:])):
        filled += count
    return filled


def _secure(location: str) -> SplitResult:
    link = urlsplit(location)
    if link.scheme != "https" or not link.hostname:
        raise SourceFailedError(f"{location[:80]!r}: expected an https:// link to the file")
    return link
