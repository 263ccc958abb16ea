"""Answers whom a query means now, and what a release would do to them, from what the fleet said last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from contracts.messages import ReleaseRef
from fleet.core.fit import Fit, Misfit, Package
from fleet.core.inventory import Inventory
from fleet.core.targeting.groups import Group, content_of, groups_in, resolve
from fleet.core.targeting.order import in_order
from fleet.core.targeting.parse import parse_query
from fleet.core.targeting.plan import TargetPlan, fits, plan_targets
from fleet.core.targeting.predicate import predicate
from fleet.core.targeting.query import Query

# A list for people may be so old; what acts looks anew.
LIST_AGE = timedelta(seconds=2)


class Roster(Protocol):
    """The fleet."""

    def inventories(self, now: datetime, max_age: timedelta = timedelta(0)) -> Sequence[Inventory]:
        """Return every device in good standing, ordered by id, as it was told at most `max_age` ago."""


class Groups(Protocol):
    """Saved groups."""

    def all(self) -> Mapping[str, Group]:
        """Return every group by its name."""


class Packages(Protocol):
    """What releases ask of devices."""

    def of(self, release: ReleaseRef) -> Package | None:
        """Return a release's needs; None when its manifest is not here."""

    def get(self, release: ReleaseRef) -> Package:
        """Return a release's needs; raise UnknownArtifactError."""


class Targeting:
    """Shows before anything acts."""

    def __init__(self, roster: Roster, groups: Groups, packages: Packages) -> None:
        """Look things up there."""
        self._roster = roster
        self._groups = groups
        self._packages = packages

    def plan(self, text: str, release: ReleaseRef, now: datetime, added_since: datetime | None = None) -> TargetPlan:
        """Say what a release would do to the devices that a query means now: to all, or to those that were let in since a moment.

        Raises QueryError or UnknownGroupError.
        """
        query = self._resolved(parse_query(text))
        fleet = [device for device in self.everybody(now) if added_since is None or _is_newer(device, added_since)]
        return plan_targets(query, self._packages.get(release), fleet, now, self._held(fleet, release.model))

    def following(self, text: str, release: ReleaseRef, after: str, now: datetime) -> Iterator[tuple[Inventory, Fit | Misfit]]:
        """Say the same of those that follow `after`, ordered by id, each when it is asked for; raise as `plan` does."""
        query = self._resolved(parse_query(text))
        fleet = self._roster.inventories(now, LIST_AGE)
        rest = (device for device in fleet if device.id > after)
        return fits(query, self._packages.get(release), rest, now, self._held(fleet, release.model))

    def everybody(self, now: datetime) -> Sequence[Inventory]:
        """Return every device in good standing, ordered by id."""
        return self._roster.inventories(now)

    def page(self, text: str, after: str, limit: int, now: datetime) -> tuple[str, ...]:
        """Return the ids of some of the devices that a query means, those that follow `after`; raise as `plan` does."""
        is_meant = predicate(self._resolved(parse_query(text)), now)
        fleet = self._roster.inventories(now, LIST_AGE)
        found = (device.id for device in fleet if device.id > after and is_meant(device))
        return tuple(islice(found, limit))

    def listed(self, text: str, order: str, start: int, limit: int, now: datetime) -> tuple[tuple[str, ...], int]:
        """Return some ids of those that a query means, from the `start`-th on, and the number of all.

        `order` names what the list is ordered by, as queries do; `-last_seen` orders downwards. Raises as `plan` does.
        """
        is_meant = predicate(self._resolved(parse_query(text)), now)
        meant = [device for device in self._roster.inventories(now, LIST_AGE) if is_meant(device)]
        page = in_order(meant, order, now)[start : start + limit]
        return tuple(device.id for device in page), len(meant)

    def size(self, group: Group, now: datetime) -> int:
        """Return how many devices are in a group."""
        return sum(map(predicate(content_of(group), now), self._roster.inventories(now, LIST_AGE)))

    def members(self, group: Group, after: str, limit: int | None, now: datetime) -> tuple[str, ...]:
        """Return the ids of a group's devices that follow `after`, at most `limit`, or all for None."""
        is_in = predicate(content_of(group), now)
        found = (device.id for device in self._roster.inventories(now, LIST_AGE) if device.id > after and is_in(device))
        return tuple(islice(found, limit))

    def _held(self, fleet: Sequence[Inventory], model: str) -> dict[str, Package]:
        """Return the releases of a model that devices run, by digest."""
        running = {ref.manifest_sha256: ref for device in fleet if (ref := device.running.get(model)) is not None}
        known = {digest: self._packages.of(ref) for digest, ref in running.items()}
        return {digest: package for digest, package in known.items() if package is not None}

    def _resolved(self, query: Query) -> Query:
        return resolve(query, self._groups.all()) if groups_in(query) else query


def _is_newer(device: Inventory, since: datetime) -> bool:
    return device.added_at is not None and device.added_at > since
