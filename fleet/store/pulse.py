"""Touches psycopg: ends a wait for a PostgreSQL server that stands still, which no limit of the server's own and no keep-alive does.

The system of a machine answers for a process that was stopped, or swaps. A long statement of a server that works is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg

# Before it is asked whether the server works at all.
PATIENCE_S = 2.0
# An answer to that counts for so long, for everybody who waits.
FRESH_S = 1.0

Answer = TypeVar("Answer")


class Pulse:
    """Whether a server lets anybody in: whoever waits asks for all the others too."""

    def __init__(self) -> None:
        """The server works, as far as is known."""
        # Opens and closes a connection of its own; raises psycopg.Error.
        self.try_door: Callable[[], None] = lambda: None
        self._one = threading.Lock()
        self._asked_s = -FRESH_S
        self._beats = True

    @property
    def is_known_dead(self) -> bool:
        """Say whether the server was found standing still a moment ago."""
        return not self._beats and time.monotonic() - self._asked_s < FRESH_S

    def stop(self) -> None:
        """Take note that the server let nobody in just now."""
        self._beats, self._asked_s = False, time.monotonic()

    def beats(self) -> bool:
        """Ask, unless somebody just did."""
        with self._one:
            if time.monotonic() - self._asked_s >= FRESH_S:
                try:
                    self.try_door()
                    self._beats = True
                except psycopg.errors.ConnectionTimeout:
                    self._beats = False
                except psycopg.Error:
                    self._beats = True  # it refuses, or is gone; then what waits for it ends by itself
                self._asked_s = time.monotonic()
            return self._beats


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed under whoever waits for a server that stands still: OperationalError."""

    pulse = Pulse()

    def wait(self, gen: Generator[Any, Any, Answer], interval: float = 0.1, timeout: float | None = None) -> Answer:
        """Wait for an answer as psycopg does, as long as there may be one."""
        limits = {} if timeout is None else {"timeout": timeout}
        return super().wait(self._while_it_beats(gen), interval, **limits)

    def _while_it_beats(self, waiting: Generator[Any, Any, Answer]) -> Generator[Any, Any, Answer]:
        ask_s = time.monotonic() + PATIENCE_S
        try:
            ready = yield next(waiting)
            while True:
                # Nothing came for a while; what comes in pieces is an answer, too.
                if not ready and time.monotonic() >= ask_s:
                    self._expect_beat()
                    ask_s = time.monotonic() + PATIENCE_S
                ready = yield waiting.send(ready)
        except StopIteration as end:
            answer: Answer = end.value
            return answer

    def _expect_beat(self) -> None:
        if not self.pulse.beats():
            self.close()
            raise psycopg.OperationalError("no answer: the server stands still, and lets nobody in")


class Door:
    """Where the connections of one database come from."""

    def __init__(self) -> None:
        """Nobody has come yet."""
        self._pulse = Pulse()

    def connect(self, _dialect: object, _entry: object, where: tuple[str, ...], how: dict[str, Any]) -> BoundedConnection:
        """Connect as SQLAlchemy asks for; raise psycopg.Error, at once while the server is known to stand still."""
        if self._pulse.is_known_dead:
            raise psycopg.errors.ConnectionTimeout("the server stands still, and lets nobody in")
        self._pulse.try_door = lambda: psycopg.connect(*where, **how).close()
        try:
            connection = BoundedConnection.connect(*where, **how)
        except psycopg.errors.ConnectionTimeout:
            self._pulse.stop()
            raise
        connection.pulse = self._pulse
        return connection
