"""One pair of hands for one model: what changes who serves is done one after the other, and gives way to what comes later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from agent.errors import WorkerError

Result = TypeVar("Result")


class Hands:
    """Who has them, and what gives way."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._lock = asyncio.Lock()
        self._attempt = anyio.CancelScope()

    def let_go(self) -> None:
        """Have the attempt given up that is under way, if there is one."""
        self._attempt.cancel()

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Have an attempt given up, and do something to its end."""
        self.let_go()
        async with self._lock:
            yield

    @asynccontextmanager
    async def attempting(self) -> AsyncIterator[None]:
        """Do something in its turn; the block ends early when something else goes first."""
        async with self._lock:
            with anyio.CancelScope() as self._attempt:
                yield

    async def attempt(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something before any attempt that is under way; raise WorkerError when it has to give way itself."""
        self.let_go()
        async with self.attempting():
            return await work()
        raise WorkerError("expected to be left alone, found another release or a stop that went first")
