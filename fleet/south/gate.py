"""Shuts the broker's door on devices that were revoked: by list for new connections, by rule and by force for those that are open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from fleet.errors.server import LinkDownError
from fleet.south.rules import KICKS


class Credentials(Protocol):
    """Who was turned out."""

    def revoked(self) -> tuple[str, ...]:
        """Return the devices."""

    def revoked_serials(self, now: datetime) -> tuple[str, ...]:
        """Return their certificates."""


class Authority(Protocol):
    """Who signs."""

    def revocation_list(self, serials: Sequence[str], now: datetime) -> bytes:
        """Sign a list."""


class Broker(Protocol):
    """What reads it."""

    @property
    def lag_s(self) -> float:
        """How long after `admit` it may still let in whom it is to refuse."""

    def admit(self, revoked: Sequence[str], revocation_list: bytes) -> None:
        """Let everybody do what the rules say, but these nothing, from now on."""


class Link(Protocol):
    """The fleet's own way to the broker."""

    @property
    def is_up(self) -> bool:
        """Say whether the broker is there."""

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish and wait; raise LinkDownError."""


class Gate:
    """The broker's door."""

    def __init__(
        self, credentials: Credentials, authority: Authority, broker: Broker, link: Link, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is written before `set`; `clock` counts seconds."""
        self._credentials = credentials
        self._authority = authority
        self._broker = broker
        self._link = link
        self._clock = clock
        self._lock = threading.Lock()
        # Whose connections are still to be ended. Not kept over a restart, which ends every connection by itself.
        self._to_end: set[str] = set()
        # And when once more: a broker that follows late has let in until then whoever came back at once.
        self._to_end_again: dict[str, float] = {}
        self._known: set[str] = set()

    def set(self, now: datetime) -> None:
        """Tell the broker who is out; to be called before it starts, and whenever that changes."""
        serials = self._credentials.revoked_serials(now)
        self._broker.admit(self._credentials.revoked(), self._authority.revocation_list(serials, now))

    def shut_out(self, device: str, now: datetime) -> None:
        """Refuse a device that was revoked, and end its connections at once, or as soon as the broker can be told."""
        try:
            self.set(now)  # before its connections end, so that they cannot come back
        finally:
            self._end({device})
        self.turn()

    def follow(self) -> None:
        """End the connections of those whom another server turned out."""
        revoked = set(self._credentials.revoked())
        self._end(revoked - self._known)
        self._known = revoked

    def turn(self) -> None:
        """End the connections that are still to be ended."""
        now_s = self._clock()
        with self._lock:
            waiting = sorted(self._to_end | {device for device, due_s in self._to_end_again.items() if due_s <= now_s})
        if not waiting or not self._link.is_up:
            return
        try:
            self._link.publish([(KICKS, _end_connections(device)) for device in waiting], retain=False)
        except LinkDownError:
            return  # the next turn tries again
        with self._lock:
            self._to_end.difference_update(waiting)
            self._to_end_again = {device: due_s for device, due_s in self._to_end_again.items() if due_s > now_s}

    def _end(self, devices: Collection[str]) -> None:
        with self._lock:
            self._to_end.update(devices)
            if self._broker.lag_s:
                self._to_end_again |= dict.fromkeys(devices, self._clock() + self._broker.lag_s)


def _end_connections(device: str) -> bytes:
    # The broker's plugin ends every connection of a user whose account changes; the account itself is of no use and goes again.
    commands = [{"command": command, "username": device} for command in ("createClient", "deleteClient")]
    return json.dumps({"commands": commands}).encode()
