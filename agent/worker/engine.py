"""Runs the model's work in one thread behind a bounded queue, so that the event loop keeps turning."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from agent.worker.errors import OverloadedError
from contracts.errors import FieldfareError

T = TypeVar("T")
# Runs in the thread, and returns what must then happen in the loop.
Job = Callable[[], Callable[[], None]]


class Engine:
    """One thread, started at once; runtimes are only ever touched by it.

    An exception other than FieldfareError is a bug: it prints its traceback and ends the thread, so that `is_alive` is false.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_waiting: int) -> None:
        self.in_flight = 0
        self._loop = loop
        self._max_waiting = max_waiting
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._results: deque[Callable[[], None]] = deque()
        self._is_waking_loop = False
        # Work for when nobody else waits; while there is any, its turn is in the queue.
        self._offered: Job | None = None
        self._offering = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Say whether the thread still works."""
        return self._thread.is_alive()

    def submit(self, work: Callable[[], T], done: Callable[[T | FieldfareError], None]) -> None:
        """Queue work for the thread; `done` is called in the loop, in order; raise OverloadedError when too much waits."""
        if self.in_flight >= self._max_waiting:
            raise OverloadedError(self._max_waiting)
        self.in_flight += 1

        def answered(result: T | FieldfareError) -> None:
            self.in_flight -= 1
            done(result)

        self._jobs.put(_job(work, answered))

    def offer(self, work: Callable[[], T], done: Callable[[T | FieldfareError], None]) -> bool:
        """Leave work for when nobody who submits any waits; say whether it replaced work that had not begun.

        Of that the `done` is never called.
        """
        with self._offering:
            replaced, self._offered = self._offered, _job(work, done)
            if replaced is None:
                self._jobs.put(self._do_offered)
        return replaced is not None

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in the thread and wait for it; raise the FieldfareError it ended with."""
        outcome: asyncio.Future[T | FieldfareError] = self._loop.create_future()
        self.submit(work, lambda result: None if outcome.done() else outcome.set_result(result))
        result = await outcome
        if isinstance(result, FieldfareError):
            raise result
        return result

    def _do_offered(self) -> Callable[[], None]:
        if not self._jobs.empty():
            self._jobs.put(self._do_offered)  # behind whoever has come meanwhile
            return _nothing
        with self._offering:
            job, self._offered = self._offered, None
        assert job is not None  # its turn was in the queue
        return job()

    def _work(self) -> None:
        while True:
            self._results.append(self._jobs.get()())
            # One wake-up serves all results that are ready by the time the loop comes round.
            if not self._is_waking_loop:
                self._is_waking_loop = True
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Cleared first: a result that arrives after the last look wakes the loop again.
        self._is_waking_loop = False
        while self._results:
            self._results.popleft()()


def _job(work: Callable[[], T], done: Callable[[T | FieldfareError], None]) -> Job:
    def job() -> Callable[[], None]:
        try:
            result: T | FieldfareError = work()
        except FieldfareError as error:
            result = error
        return lambda: done(result)

    return job


def _nothing() -> None:
    """What an offer that stood back leaves to do in the loop."""
