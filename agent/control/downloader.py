"""Fetches one file at a time by its digest, from one source after the other until every chunk is here and right."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from agent.control.basket import FileBasket, Pace
from agent.control.ports.files import Incoming
from agent.control.ports.sources import Source
from agent.core.backoff import delay_s
from agent.core.pieces import WantedFile
from agent.errors import FetchError, SourceAwayError, SourceFailedError
from contracts.downlinks import Offer

# Sources that can be reached and bring nothing: the fleet has given the file up. Time without any source does not count.
GIVE_UP_S = 6 * 3600.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
MAX_WRONG_FILES = 3

log = logging.getLogger(__name__)


class Downloader:
    """One download after the other, so that a slow link finishes something."""

    def __init__(self, sources: Sequence[Source], incoming: Incoming, pace: Pace) -> None:
        """Ask `sources` in their order, keep in `incoming`."""
        self._sources = sources
        self._incoming = incoming
        self._pace = pace
        # What the source that was asked last works in; None before the first.
        self._asking: anyio.CancelScope | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    def use(self, sources: Sequence[Source], pace: Pace) -> None:
        """Ask others, at another pace, from now on; a file that is on its way goes on from where it is."""
        self._sources, self._pace = sources, pace
        if self._asking is not None:
            self._asking.cancel()

    async def fetch(self, wanted: WantedFile, on_bytes: Callable[[int], None], *, give_up_s: float = GIVE_UP_S) -> Path:
        """Return the file's path once it is whole and right, telling `on_bytes` of new bytes; raise FetchError.

        It is given up after `give_up_s` without progress during which a source could be reached; with 0, when all have failed once.
        """
        found = await self._take_turn(wanted, (), on_bytes, give_up_s)
        assert isinstance(found, Path)  # nothing else was asked for
        return found

    async def fetch_or_offer(self, wanted: WantedFile, bases: tuple[str, ...], on_bytes: Callable[[int], None]) -> Path | Offer:
        """Do as `fetch`, unless the fleet answers by the offer of a smaller delta from one of `bases`."""
        return await self._take_turn(wanted, bases, on_bytes, GIVE_UP_S)

    async def _take_turn(
        self, wanted: WantedFile, bases: tuple[str, ...], on_bytes: Callable[[int], None], give_up_s: float
    ) -> Path | Offer:
        self._waiting += 1
        try:
            async with self._turn:
                return await self._fetch(wanted, bases, on_bytes, give_up_s)
        finally:
            self._waiting -= 1
            if not self._waiting:
                for source in self._sources:
                    await source.rest()

    async def _fetch(self, wanted: WantedFile, bases: tuple[str, ...], on_bytes: Callable[[int], None], give_up_s: float) -> Path | Offer:
        for _ in range(MAX_WRONG_FILES):
            missing = await anyio.to_thread.run_sync(self._incoming.begin, wanted.digest, wanted.size, wanted.chunks)
            basket = FileBasket(wanted, self._incoming, missing, lambda: self._pace)
            basket.on_bytes = on_bytes
            offer = await self._fill(basket, bases, give_up_s)
            if offer is not None:
                return offer
            if await anyio.to_thread.run_sync(self._incoming.is_whole, wanted.digest, wanted.size):
                return self._incoming.path(wanted.digest)
        raise FetchError(f"file {wanted.digest}: expected these bytes, found others {MAX_WRONG_FILES} times")

    async def _fill(self, basket: FileBasket, bases: tuple[str, ...], give_up_s: float) -> Offer | None:
        fruitless_s, rounds = 0.0, 0
        while basket.missing:
            reasons, is_reached = [], False
            for source in self._sources:
                began_s = time.monotonic()
                try:
                    with anyio.CancelScope() as asking:
                        self._asking = asking
                        offer = await source.fill(basket, bases)
                    if asking.cancelled_caught:
                        is_reached = False  # others are to be asked, or at other times
                        break
                except (SourceAwayError, SourceFailedError) as error:
                    reasons.append(f"{source.name}: {error}")
                    log.log(logging.DEBUG if rounds else logging.WARNING, "file %s: %s: %s", basket.wanted.digest, source.name, error)
                    is_reached |= isinstance(error, SourceFailedError)
                    idle_s = time.monotonic() - max(began_s, basket.grown_at_s)
                    has_grown = basket.grown_at_s > began_s
                    fruitless_s = (0.0 if has_grown else fruitless_s) + (idle_s if isinstance(error, SourceFailedError) else 0.0)
                    rounds = 0 if has_grown else rounds
                    continue
                if offer is not None or not basket.missing:
                    return offer
            if is_reached and fruitless_s >= give_up_s:
                raise FetchError(f"file {basket.wanted.digest}: expected its chunks from a source, found {'; '.join(reasons)}")
            rounds += 1
            await asyncio.sleep(delay_s(rounds, random.random(), first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S))  # noqa: S311 - spreads load
        return None
