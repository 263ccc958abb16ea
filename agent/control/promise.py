"""Holds one loop's word on when it will be done with what it is at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent.core.liveness import Duty


class Promise:
    """Given by a loop when it takes something up; whoever only waits for news promises nothing."""

    def __init__(self, name: str) -> None:
        """Name the loop as the log shall."""
        self.name = name
        self._dues_s: dict[object, float] = {}

    @property
    def duty(self) -> Duty:
        """Return what is owed: the earliest of all that is under way."""
        return Duty(self.name, min(self._dues_s.values(), default=None))

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Do what follows in so many seconds of running time; may be given by several tasks at once."""
        token = object()
        self._dues_s[token] = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._dues_s[token]
