"""Makes the broker believe the authority's next root beside the present one, and tells devices of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from contracts import codec
from contracts.downlinks import Succession
from contracts.topics import AUTHORITY
from fleet.errors.server import LinkDownError

log = logging.getLogger("fleet.succession")


class Root(Protocol):
    """One root."""

    @property
    def pem(self) -> str:
        """Its certificate."""


class Successor(Protocol):
    """The root that takes over, and the word of the one before for it."""

    @property
    def root(self) -> Root:
        """Itself."""

    @property
    def voucher(self) -> str:
        """Its name and key under the signature of the one before."""


class Authority(Protocol):
    """The roots."""

    @property
    def successor(self) -> Successor | None:
        """Return the next one."""

    def follow(self) -> None:
        """Read what another server may have begun."""


class Link(Protocol):
    """The broker."""

    @property
    def is_up(self) -> bool:
        """Say whether publishing makes sense."""

    @property
    def connections(self) -> int:
        """Return how often the link came up."""

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish and wait for the acknowledgement; raise LinkDownError."""


class SuccessionHerald:
    """A duty of the server that leads."""

    def __init__(self, authority: Authority, link: Link, believe: Callable[[], None]) -> None:
        """`believe` makes the broker believe every root that there is."""
        self._authority = authority
        self._link = link
        self._believe = believe
        # The root that is believed, and what the broker was told on which connection.
        self._believed: str | None = None
        self._told: tuple[str | None, int] | None = None

    def turn(self) -> None:
        """Follow a succession that was begun here or by another server; devices hear of it after the broker has."""
        self._authority.follow()
        following = self._authority.successor
        root = None if following is None else following.root.pem
        if root != self._believed:
            self._believe()
            self._believed = root
        state = (root, self._link.connections)
        if not self._link.is_up or state == self._told:
            return
        # Nothing ends what was told before this start.
        told = b"" if following is None else codec.encode(Succession(certificate=following.root.pem, voucher=following.voucher))
        try:
            self._link.publish([(AUTHORITY, told)], retain=True)
        except LinkDownError as error:
            log.warning("%s", error)
            return
        self._told = state
