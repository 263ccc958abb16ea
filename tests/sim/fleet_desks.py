"""The desks of a fleet that moves without a server: they find its devices and show them, and take no orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import NoReturn

from contracts.commands import Command
from contracts.messages import ReleaseRef
from fleet.core.fit import Package
from fleet.core.inventory import Inventory
from fleet.core.pages import Part
from fleet.core.status import Gist
from fleet.core.targeting.groups import Group
from fleet.errors.devices import NoDevicesError, UnknownCommandError, UnknownDeviceError
from fleet.errors.releases import UnknownArtifactError
from fleet.errors.rollouts import UnknownRolloutError
from fleet.errors.targeting import UnknownGroupError
from fleet.requests.rollouts import NewRollout
from fleet.requests.settings import ConfigurationChange
from fleet.requests.targeting import LabelChange, NewGroup
from fleet.targeting import Targeting
from fleet.views.commands import CommandSummary, CommandView
from fleet.views.device_details import DeviceDetail
from fleet.views.reader import FleetReader
from fleet.views.settings import ConfiguredDevice
from fleet.views.targeting import GroupDetail, GroupView, LabelledView, RolloutPreview
from tests.sim.fleet_reader import MovingFleet


def _gist_of(detail: DeviceDetail) -> Gist:
    gist = Gist() if detail.birth is None else Gist().with_birth(detail.birth)
    return gist if detail.health is None else gist.with_health(detail.health)


class _Roster:
    def __init__(self, fleet: MovingFleet) -> None:
        self._fleet = fleet

    def inventories(self, now: datetime, max_age: timedelta = timedelta(0)) -> Sequence[Inventory]:
        details = (self._fleet.device(summary.id) for summary in self._fleet.devices(limit=100_000))
        return [
            Inventory(one.id, one.hardware, one.labels, (one.hardware,), last_seen=one.last_seen, gist=_gist_of(one)) for one in details
        ]


class Idle:
    """No groups, no packages, and nobody who takes orders."""

    def all(self) -> Mapping[str, Group]:
        return {}

    def of(self, release: ReleaseRef) -> Package | None:
        return None

    def get(self, release: ReleaseRef) -> NoReturn:
        raise UnknownArtifactError(release.manifest_sha256)

    def groups(self, limit: int, after: str, now: datetime) -> Part[GroupView]:
        return Part((), None)

    def whole(self, name: str, now: datetime) -> GroupDetail:
        raise UnknownGroupError(name, None)

    def save(self, name: str, new: NewGroup, seen: str | None, now: datetime) -> GroupView:
        raise UnknownGroupError(name, None)

    def relabel(self, change: LabelChange) -> LabelledView:
        raise UnknownDeviceError(min(change.devices))

    def start(self, new: NewRollout, actor: str, now: datetime) -> int:
        raise UnknownRolloutError(0)

    def act(self, number: int, act: str, actor: str, now: datetime) -> None:
        raise UnknownRolloutError(number)

    def rollback(self, number: int, actor: str, now: datetime) -> int:
        raise UnknownRolloutError(number)

    def retry(self, number: int, actor: str, now: datetime) -> int:
        raise UnknownRolloutError(number)

    def add(self, command: Command) -> None:
        raise UnknownDeviceError(command.device)

    def command(self, device: str, number: str, now: datetime) -> CommandView:
        raise UnknownCommandError(device, number)

    def change(self, change: ConfigurationChange, author: str, now: datetime, seen: str | None = None) -> tuple[ConfiguredDevice, ...]:
        raise NoDevicesError(change.query, "the query matches no device")

    def commands(self, device: str, now: datetime, limit: int) -> Part[CommandSummary]:
        return Part((), None)


class _NoPreview:
    def of(self, new: NewRollout, now: datetime) -> RolloutPreview:
        raise UnknownRolloutError(0)


class PlayedServices:
    """All of it over one moving fleet."""

    def __init__(self, fleet: MovingFleet) -> None:
        """Show it."""
        nothing = Idle()
        self.reader: FleetReader = fleet
        self.rollouts = self.groups = self.commands = self.configurations = nothing
        self.preview = _NoPreview()
        self.targeting = Targeting(_Roster(fleet), nothing, nothing)

    @property
    def now(self) -> Callable[[], datetime]:
        return lambda: datetime.now(timezone.utc)
