"""Asks the servers that signed releases name, as far as the device's owner allows their hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agent.control.ports.sources import Source
from agent.core.basket import Basket
from agent.core.named_sources import allowed
from agent.errors import SourceAwayError, SourceFailedError


class Named:
    """What the releases that are wished now name; it outlives a change of settings."""

    def __init__(self) -> None:
        """Nothing is named yet."""
        self.urls: tuple[str, ...] = ()

    def know(self, urls: Iterable[str]) -> None:
        """Take what the newest verified wish's releases name, all together: a digest that a server does not have costs one question."""
        self.urls = tuple(dict.fromkeys(urls))


class NamedSource:
    """All of them as one source; where nothing is named and allowed it brings nothing, and the next is asked."""

    name = "release"

    def __init__(self, named: Named, hosts: Sequence[str], open_source: Callable[[str], Source]) -> None:
        """Open a URL of an allowed host with `open_source`."""
        self._named = named
        self._hosts = hosts
        self._open = open_source

    async def fill(self, basket: Basket, bases: tuple[str, ...]) -> None:
        """Bring what is missing from one server after the other; raise SourceAwayError or SourceFailedError where the last one failed."""
        failure: SourceAwayError | SourceFailedError | None = None
        for url in allowed(self._named.urls, self._hosts):
            try:
                await self._open(url).fill(basket, bases)
            except (SourceAwayError, SourceFailedError) as error:
                failure = error
            if not basket.missing:
                return
        if failure is not None:
            raise failure

    async def rest(self) -> None:
        """Nothing is held between files."""
