"""Tells the other servers that this one hears the devices, for as long as it does, so that none of them takes its messages over."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from fleet.core.inheritance import TELL_S
from fleet.errors.store import StoreError

log = logging.getLogger("fleet.presence")


class Register(Protocol):
    """Where servers tell that they hear."""

    def tell(self, name: str) -> None:
        """Note that a server hears the devices now; raise StoreError."""

    def leave(self, name: str) -> None:
        """Note that it hears them no more; raise StoreError."""


class Line(Protocol):
    """The connection by which it hears."""

    @property
    def is_up(self) -> bool:
        """Say whether the broker is there."""


class Hearing(Protocol):
    """What is done with what is heard."""

    def turn(self) -> None:
        """Take one batch in."""


class Presence:
    """The ingest of one of several servers: whoever hangs in it, or has lost the broker, falls silent."""

    def __init__(self, name: str, register: Register, line: Line, ingest: Hearing) -> None:
        """Nothing is told before `turn`."""
        self._name = name
        self._register = register
        self._line = line
        self._ingest = ingest
        self._next_s = 0.0
        self._is_known = False

    def turn(self) -> None:
        """Tell, if it is time to, and then take one batch in; before the line connects for the first time it was told."""
        now_s = time.monotonic()
        if now_s >= self._next_s and (self._line.is_up or not self._is_known):
            self._register.tell(self._name)
            self._is_known, self._next_s = True, now_s + TELL_S
        self._ingest.turn()

    def leave(self) -> None:
        """Leave what waits at the broker to the others, once the line is closed."""
        try:
            self._register.leave(self._name)
        except StoreError as error:
            log.warning("the others have to notice that server %s is gone: %s", self._name, error)
