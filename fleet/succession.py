"""Brings the fleet from one root of its authority to the next: says who depends on the old one, and lets it go when nobody does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

from fleet.core.devices import HeardDevice
from fleet.core.pages import Part, part_of
from fleet.errors.server import DependentsError, NoSuccessionError
from fleet.requests.authority import AuthorityState, Dependent, RootState

# So many are read at a time.
BATCH_DEVICES = 500


class Root(Protocol):
    """One root."""

    @property
    def fingerprint(self) -> str:
        """Its digest."""

    @property
    def ends_at(self) -> datetime:
        """When it ends."""


class Successor(Protocol):
    """The root that takes over."""

    @property
    def root(self) -> Root:
        """Itself."""


class Authority(Root, Protocol):
    """The roots."""

    @property
    def successor(self) -> Successor | None:
        """Return the next one."""

    @property
    def is_retiring(self) -> bool:
        """Say whether the present one goes at the next start."""

    def follow(self) -> None:
        """Read what another server may have begun."""

    def succeed(self, now: datetime) -> Successor:
        """Make the next root; raise SuccessionError."""

    def retire(self) -> None:
        """Let the present root go at the next start."""


class Devices(Protocol):
    """The fleet, and what it said last."""

    def heard_of(self, ids: Sequence[str]) -> Sequence[HeardDevice]:
        """Return those of some devices that are in good standing, with their newest words, ordered by id."""


class Credentials(Protocol):
    """Certificates that were given out."""

    def living(self, now: datetime) -> Collection[str]:
        """Return the devices that have a good certificate."""


class SuccessionDesk:
    """The orders of admins."""

    def __init__(self, authority: Authority, devices: Devices, credentials: Credentials, turn_out: Callable[[str, datetime], None]) -> None:
        """`turn_out` revokes a device that is left behind."""
        self._authority = authority
        self._devices = devices
        self._credentials = credentials
        self._turn_out = turn_out
        self._lock = threading.Lock()

    def state(self, now: datetime) -> AuthorityState:
        """Return the roots, and how many devices would be cut off without the present one."""
        self._authority.follow()
        following = self._authority.successor
        return AuthorityState(
            present=_state_of(self._authority),
            following=None if following is None else _state_of(following.root),
            is_retiring=self._authority.is_retiring,
            dependents=0 if following is None else sum(1 for _ in self._dependents(following.root.fingerprint, "", now)),
        )

    def dependents(self, limit: int, after: str, now: datetime) -> Part[Dependent]:
        """Return the devices that would be cut off without the present root, ordered by id, those after a device."""
        self._authority.follow()
        following = self._authority.successor
        found = () if following is None else tuple(islice(self._dependents(following.root.fingerprint, after, now), limit + 1))
        return part_of(found, limit, lambda each: each, lambda each: (each.device,))

    def rotate(self, now: datetime) -> AuthorityState:
        """Introduce the next root beside the present one; raise SuccessionError."""
        with self._lock:
            self._authority.succeed(now)
        return self.state(now)

    def finish(self, now: datetime, *, leaves: bool) -> AuthorityState:
        """Let the present root go at the next start; raise DependentsError unless whoever depends on it is to be left, and turned out."""
        with self._lock:
            self._authority.follow()
            following = self._authority.successor
            if following is None:
                raise NoSuccessionError
            dependents = tuple(self._dependents(following.root.fingerprint, "", now))
            if dependents and not leaves:
                raise DependentsError([each.device for each in dependents])
            for each in dependents:
                self._turn_out(each.device, now)
            self._authority.retire()
        return self.state(now)

    def _dependents(self, fingerprint: str, after: str, now: datetime) -> Iterator[Dependent]:
        """A device counts as come over once it was born by the next root's certificate: that one was given out proves nothing."""
        living = sorted(device for device in self._credentials.living(now) if device > after)
        for start in range(0, len(living), BATCH_DEVICES):
            for heard in self._devices.heard_of(living[start : start + BATCH_DEVICES]):
                if heard.birth is None or heard.birth.authority != fingerprint:
                    yield Dependent(device=heard.device.id, online=heard.birth is not None and heard.birth.online)


def _state_of(root: Root) -> RootState:
    return RootState(fingerprint=root.fingerprint, ends_at=root.ends_at)
