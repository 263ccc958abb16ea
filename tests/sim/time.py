"""An event loop whose clock jumps to the next timer: a day passes in seconds, and real threads and files still take part."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio.to_thread

Result = TypeVar("Result")
# Real seconds until a thread that never answers is an error.
THREAD_S = 240.0


class SimulatedTime:
    """The monotonic clock of this whole process, which only stands still or jumps."""

    def __init__(self) -> None:
        """Begin at some moment; `real` is the clock that was there before."""
        self.now_s = 1000.0
        self.real = time.monotonic
        self._limiter: anyio.CapacityLimiter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def go_on(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something on a loop that stands still, with its tasks and its clock, until this is called again."""
        self._loop = self._loop or asyncio.SelectorEventLoop(_JumpingSelector(self))
        time.monotonic = lambda: self.now_s
        try:
            return self._loop.run_until_complete(self._beside_threads(work))
        finally:
            time.monotonic = self.real

    def end(self) -> None:
        """Let go of that loop."""
        if self._loop is not None:
            self._loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run as `asyncio.run` does; whoever asks for `time.monotonic` in this process from now on gets the simulated one."""
        time.monotonic = lambda: self.now_s
        loop = asyncio.SelectorEventLoop(_JumpingSelector(self))
        try:
            return loop.run_until_complete(self._beside_threads(work))
        finally:
            loop.close()
            time.monotonic = self.real

    @property
    def is_a_thread_busy(self) -> bool:
        """Say whether the loop waits for a thread, for which real time must pass."""
        return self._limiter is not None and self._limiter.borrowed_tokens > 0

    async def _beside_threads(self, work: Coroutine[Any, Any, Result]) -> Result:
        self._limiter = anyio.to_thread.current_default_thread_limiter()
        return await work


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for no timer: it moves the clock."""

    def __init__(self, simulated: SimulatedTime) -> None:
        super().__init__()
        self._simulated = simulated

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; without anything, and unless a thread is at work, let the time until the next timer pass."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._simulated.is_a_thread_busy:
            ready = super().select(THREAD_S)
            assert ready, f"a thread has not answered in {THREAD_S:g} s"
            return ready
        assert timeout is not None, "everybody waits, and nobody will ever wake them"
        self._simulated.now_s += timeout
        return ready
