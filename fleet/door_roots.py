"""Makes this server's doors believe the authority's next root, whichever server of the fleet made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Root(Protocol):
    """One root."""

    @property
    def pem(self) -> str:
        """Its certificate."""


class Successor(Protocol):
    """The root that takes over."""

    @property
    def root(self) -> Root:
        """Itself."""


class Authority(Protocol):
    """The roots."""

    @property
    def successor(self) -> Successor | None:
        """Return the next one."""

    def follow(self) -> None:
        """Read what another server may have begun."""


class DoorRoots:
    """A task of every server, whether it leads or not: devices come to any of them."""

    def __init__(self, authority: Authority, believe: Callable[[str], None]) -> None:
        """`believe` makes the doors believe a root, in PEM, beside the present one."""
        self._authority = authority
        self._believe = believe
        self._is_done = False

    def turn(self) -> None:
        """Follow a succession that was begun here or by another server, once; raise ForeignAuthorityError."""
        if self._is_done:
            return
        self._authority.follow()
        following = self._authority.successor
        if following is not None:
            self._believe(following.root.pem)
            self._is_done = True
