"""Takes what people order of groups and labels: keeps it, and lets the next question know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import islice
from typing import Protocol

from fleet.core.pages import Part, part_of
from fleet.core.targeting.groups import FixedGroup, Group, SavedQuery, groups_in, version_of
from fleet.core.targeting.parse import parse_query
from fleet.errors.targeting import GroupInGroupError
from fleet.requests.targeting import LabelChange, NewGroup
from fleet.views.targeting import GroupDetail, GroupMember, GroupView, LabelledView


class Groups(Protocol):
    """Where groups are kept."""

    def all(self) -> Mapping[str, Group]:
        """Return every group by its name."""

    def get(self, name: str) -> Group:
        """Return a group; raise UnknownGroupError."""

    def put(self, name: str, group: Group, seen: str | None) -> None:
        """Keep a group in place of what `seen` is the version of, or of anything; raise StaleVersionError or UnknownDeviceError."""

    def remove(self, name: str, seen: str | None) -> None:
        """Forget a group; raise UnknownGroupError or StaleVersionError."""


class Devices(Protocol):
    """Where labels are kept."""

    def relabel(self, wanted: Mapping[str, str | None], put: Mapping[str, str], drop: Collection[str]) -> tuple[str, ...]:
        """Change labels of devices, all or none, and return which of them changed."""


class Targeting(Protocol):
    """Who is meant."""

    def size(self, group: Group, now: datetime) -> int:
        """Return how many devices are in a group."""

    def members(self, group: Group, after: str, limit: int | None, now: datetime) -> tuple[str, ...]:
        """Return the ids of a group's devices that follow `after`, at most `limit`, or all for None."""


class Memory(Protocol):
    """What remembers devices."""

    def outdate(self) -> None:
        """Look anew before the next answer."""


class GroupDesk:
    """The orders of operators."""

    def __init__(self, groups: Groups, devices: Devices, targeting: Targeting, memory: Memory) -> None:
        """Keep things there."""
        self._groups = groups
        self._devices = devices
        self._targeting = targeting
        self._memory = memory

    def groups(self, limit: int, after: str, now: datetime) -> Part[GroupView]:
        """Return groups by name, those after a name."""
        following = list(islice(((name, group) for name, group in sorted(self._groups.all().items()) if name > after), limit + 1))
        part = part_of(following, limit, lambda pair: pair, lambda pair: (pair[0],))
        return Part(tuple(_view(name, group, self._targeting.size(group, now)) for name, group in part.items), part.last)

    def group(self, name: str, now: datetime) -> GroupView:
        """Return a group; raise UnknownGroupError."""
        group = self._groups.get(name)
        return _view(name, group, self._targeting.size(group, now))

    def members(self, name: str, limit: int, after: str, now: datetime) -> Part[GroupMember]:
        """Return a group's devices, ordered by id, those after a device; raise UnknownGroupError."""
        ids = self._targeting.members(self._groups.get(name), after, limit + 1, now)
        return part_of(ids, limit, lambda device: GroupMember(device=device), lambda device: (device,))

    def whole(self, name: str, now: datetime) -> GroupDetail:
        """Return a group with all its devices; raise UnknownGroupError."""
        group = self._groups.get(name)
        members = self._targeting.members(group, "", None, now)
        return GroupDetail(**dict(_view(name, group, len(members))), members=members)

    def save(self, name: str, new: NewGroup, seen: str | None, now: datetime) -> GroupView:
        """Keep a group and return it; raise what tells why not."""
        self._groups.put(name, _group_of(name, new), seen)
        return self.group(name, now)

    def remove(self, name: str, seen: str | None) -> None:
        """Forget a group; rollouts that began with it keep their lists."""
        self._groups.remove(name, seen)

    def relabel(self, change: LabelChange) -> LabelledView:
        """Change labels; rollouts under way keep their lists."""
        changed = self._devices.relabel(change.devices, change.put, change.drop)
        self._memory.outdate()
        return LabelledView(changed=changed)


def _view(name: str, group: Group, devices: int) -> GroupView:
    query = str(group.query) if isinstance(group, SavedQuery) else None
    return GroupView(name=name, query=query, devices=devices, version=version_of(group))


def _group_of(name: str, new: NewGroup) -> Group:
    if new.query is None:
        return FixedGroup(frozenset(new.devices or ()))
    query = parse_query(new.query)
    for named in sorted(groups_in(query)):
        raise GroupInGroupError(name, f"group {named}")
    return SavedQuery(query)
