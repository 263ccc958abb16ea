"""What the pages need of the rest of the fleet: one reader for all they show, and the same desks as the REST API for all they order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from contracts.commands import Command
from fleet.acting import Acting
from fleet.core.audit import LinkedEntry
from fleet.core.pages import Part
from fleet.requests.rollouts import NewRollout
from fleet.requests.settings import ConfigurationChange
from fleet.requests.targeting import LabelChange, NewGroup
from fleet.views.commands import CommandSummary, CommandView
from fleet.views.reader import FleetReader
from fleet.views.settings import ConfiguredDevice
from fleet.views.targeting import GroupDetail, GroupView, LabelledView, RolloutPreview


class Rollouts(Protocol):
    """Takes what people order of rollouts; the actor is the name they signed in by."""

    def start(self, new: NewRollout, actor: str, now: datetime) -> int:
        """Freeze the target list and return the rollout's number."""

    def act(self, number: int, act: str, actor: str, now: datetime) -> None:
        """Approve, pause, resume, promote or abort a rollout."""

    def rollback(self, number: int, actor: str, now: datetime) -> int:
        """Bring each device of a rollout that has ended back to what it ran before; return the new rollout's number."""

    def retry(self, number: int, actor: str, now: datetime) -> int:
        """Offer the release again to those that a rollout lost; return the new rollout's number."""


class Preview(Protocol):
    """What a rollout would do."""

    def of(self, new: NewRollout, now: datetime) -> RolloutPreview:
        """Return who would get which artifact, and who nothing and why."""


class Targeting(Protocol):
    """Whom a query means."""

    def page(self, text: str, after: str, limit: int, now: datetime) -> tuple[str, ...]:
        """Return the ids of some of the devices that a query means, those that follow `after`."""

    def listed(self, text: str, order: str, start: int, limit: int, now: datetime) -> tuple[tuple[str, ...], int]:
        """Return some ids of those that a query means, from the `start`-th on, and the number of all; `-id` orders downwards."""


class Groups(Protocol):
    """Groups and labels."""

    def groups(self, limit: int, after: str, now: datetime) -> Part[GroupView]:
        """Return groups by name, those after a name."""

    def whole(self, name: str, now: datetime) -> GroupDetail:
        """Return a group with all its devices; raise UnknownGroupError."""

    def save(self, name: str, new: NewGroup, seen: str | None, now: datetime) -> GroupView:
        """Keep a group and return it."""

    def relabel(self, change: LabelChange) -> LabelledView:
        """Change labels."""


class Commands(Protocol):
    """What is asked of devices beside their work."""

    def add(self, command: Command) -> None:
        """Keep a new command, to be told to its device."""

    def command(self, device: str, number: str, now: datetime) -> CommandView:
        """Return a command and what it brought; raise UnknownCommandError."""

    def commands(self, device: str, now: datetime, limit: int) -> Part[CommandSummary]:
        """Return a device's commands, newest first; raise UnknownDeviceError."""


class Configurations(Protocol):
    """Sets devices."""

    def change(self, change: ConfigurationChange, author: str, now: datetime, seen: str | None = None) -> tuple[ConfiguredDevice, ...]:
        """Change the settings of all devices that a query means, or only say what would change; raise StaleVersionError."""


class AuditLog(Protocol):
    """Where acts are kept."""

    def add(self, act: Acting) -> None:
        """Keep an act, unless a change of the database kept it already."""

    def page(
        self, after: int | None, limit: int, *, is_newest_first: bool = False, since: datetime | None = None, who: str = "", what: str = ""
    ) -> tuple[LinkedEntry, ...]:
        """Return rows that follow row `after`, in either direction."""


class Services(Protocol):
    """All of it; `now` gives aware UTC. The API's own services are such."""

    @property
    def reader(self) -> FleetReader: ...
    @property
    def rollouts(self) -> Rollouts: ...
    @property
    def preview(self) -> Preview: ...
    @property
    def targeting(self) -> Targeting: ...
    @property
    def groups(self) -> Groups: ...
    @property
    def commands(self) -> Commands: ...
    @property
    def configurations(self) -> Configurations: ...
    @property
    def now(self) -> Callable[[], datetime]: ...
