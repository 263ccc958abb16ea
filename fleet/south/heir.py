"""Takes in what the broker keeps for servers that are gone: their sessions go on in the server that leads, until they are back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.core.inheritance import Replica, is_settled, to_inherit

LOOK_S = 1.0

log = logging.getLogger("fleet.heir")


class Register(Protocol):
    """Who hears the devices, and who does no more."""

    def all(self) -> Sequence[Replica]:
        """Return all servers that are not forgotten; raise StoreError."""

    def forget(self, name: str) -> None:
        """Forget one, unless it has come back; raise StoreError."""


class Line(Protocol):
    """A connection with the name of one that is gone; the broker then gives that name no new messages."""

    @property
    def is_up(self) -> bool:
        """Say whether the broker is there."""

    @property
    def quiet_s(self) -> float:
        """Return for how long nothing has come."""

    def close(self) -> None:
        """Disconnect, and leave the session at the broker."""

    def end(self) -> None:
        """Disconnect, and end the session."""


class Hearing(Protocol):
    """What is done with what is heard."""

    def turn(self) -> None:
        """Take one batch in."""


@dataclass(frozen=True)
class Share:
    """What waits for one server, and how it is taken in."""

    line: Line
    ingest: Hearing


class Heir:
    """A duty of the one that leads; for one thread. What comes twice, because a server was not gone after all, is known by its number."""

    def __init__(self, own: str, register: Register, share_of: Callable[[str], Share], hears: Callable[[], bool]) -> None:
        """Inherit from others than `own`, and begin only while this server itself `hears`: else nobody would be given new messages."""
        self._own = own
        self._register = register
        self._share_of = share_of
        self._hears = hears
        self._shares: dict[str, Share] = {}
        self._next_look_s = 0.0

    def open(self) -> None:
        """Nothing: lines open as they are needed."""

    def turn(self) -> None:
        """Look who is gone, and take in one batch of each."""
        # A line that was lost may have been lost to its owner: nobody fights for it before looking.
        if time.monotonic() >= self._next_look_s or not all(share.line.is_up for share in self._shares.values()):
            self._look()
        for share in self._shares.values():
            share.ingest.turn()

    def close(self) -> None:
        """Leave it all to whoever leads next."""
        for share in self._shares.values():
            share.line.close()
        self._shares.clear()

    def _look(self) -> None:
        replicas = self._register.all()
        gone = to_inherit(replicas, self._own)
        for name in self._shares.keys() - gone:
            log.warning("server %s hears again", name)
            self._shares.pop(name).line.close()
        if self._hears():
            for name in sorted(gone - self._shares.keys()):
                log.warning("server %s is gone: what the broker keeps for it is taken in here", name)
                self._shares[name] = self._share_of(name)
        for replica in replicas:
            share = self._shares.get(replica.name)
            if share is not None and is_settled(replica, share.line.quiet_s):
                self._shares.pop(replica.name).line.end()
                self._register.forget(replica.name)
        self._next_look_s = time.monotonic() + LOOK_S
