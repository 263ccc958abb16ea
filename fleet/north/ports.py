"""What the API needs of the rest of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from contracts.commands import Command, Cost
from contracts.enrolment import EnrolmentToken
from contracts.manifest import Manifest
from fleet.acting import Acting
from fleet.core.audit import LinkedEntry
from fleet.core.devices import Device
from fleet.core.enrolment import Grant, Issued
from fleet.core.pages import Key, Part
from fleet.core.roles import Caller, Role
from fleet.north.peer import Devices
from fleet.north.reading import DevicePages, Lists, Reader, SettingsPages
from fleet.north.repeats import Kept
from fleet.requests.access import NewPassword, NewRole, NewUser
from fleet.requests.authority import AuthorityState, Dependent
from fleet.requests.releases import OnlineKey, TrustChange, TrustVersions
from fleet.requests.rollouts import NewRollout
from fleet.requests.settings import ConfigurationChange
from fleet.requests.targeting import LabelChange, NewGroup
from fleet.views.access import TokenView, UserView
from fleet.views.commands import CommandSummary, CommandView
from fleet.views.settings import ConfiguredDevice
from fleet.views.targeting import ExcludedView, GroupDetail, GroupMember, GroupView, LabelledView, RolloutPreview, TargetView


class Access(Protocol):
    """Who may enter."""

    def caller_of(self, token: str, now: datetime) -> Caller | None:
        """Return who comes with a token; None when it may not even enter."""

    def add_token(self, token: str, name: str, role: Role, expires_at: datetime | None, now: datetime) -> None:
        """Let a token in from now on."""

    def tokens(self, limit: int, after: str = "") -> tuple[TokenView, ...]:
        """Return tokens by name, without their secrets, those after a name."""

    def revoke_token(self, name: str) -> None:
        """Let a token in no more."""

    def add_code(self, code: str, token: str, expires_at: datetime, now: datetime) -> None:
        """Let a code in once, until it expires, as whoever comes with the token of that name."""


class People(Protocol):
    """Who may sign in by a password."""

    def users(self) -> tuple[UserView, ...]:
        """Return everybody."""

    def add(self, new: NewUser, now: datetime) -> None:
        """Let a person in."""

    def set_password(self, name: str, new: NewPassword, now: datetime) -> None:
        """Take another password."""

    def set_role(self, name: str, new: NewRole, now: datetime) -> None:
        """Take another role."""

    def remove(self, name: str) -> None:
        """Let a person in no more."""


class AuditLog(Protocol):
    """Who did what."""

    def add(self, act: Acting) -> None:
        """Keep an act, unless a change of the database kept it already."""

    def page(
        self, after: int | None, limit: int, *, is_newest_first: bool = False, since: datetime | None = None, who: str = "", what: str = ""
    ) -> tuple[LinkedEntry, ...]:
        """Return rows that follow row `after`, in either direction."""


class Enrolment(Protocol):
    """Lets devices in, and turns them out."""

    def give_token(self, grant: Grant) -> EnrolmentToken:
        """Return a new token."""

    def enrol(self, secret: str, wanted: str | None, csr: str, now: datetime) -> tuple[Device, Issued]:
        """Let a machine in by a token."""

    def revoke(self, device: str, now: datetime) -> None:
        """Turn a device out."""

    def remove(self, device: str, by: str, now: datetime, *, keeps_history: bool) -> None:
        """Turn a device out and forget it; `by` is the name of a token."""


class Releases(Protocol):
    """Takes releases in."""

    def add(self, targets_raw: bytes, team: str | None, now: datetime) -> Manifest:
        """Take in a signed release, on the list of a model's team or on the fleet's."""


class Rollouts(Protocol):
    """Takes what people order of rollouts; the actor is the name of a token."""

    def start(self, new: NewRollout, actor: str, now: datetime) -> int:
        """Freeze the target list and return the rollout's number."""

    def act(self, number: int, act: str, actor: str, now: datetime, seen: str | None = None) -> None:
        """Approve, pause, resume, promote or abort a rollout, of that version when one was seen; raise StaleVersionError."""

    def rollback(self, number: int, actor: str, now: datetime) -> int:
        """Bring each device of a rollout that has ended back to what it ran before; return the new rollout's number."""

    def retry(self, number: int, actor: str, now: datetime) -> int:
        """Offer the release again to those that a rollout lost; return the new rollout's number."""


class Targeting(Protocol):
    """Whom a query means."""

    def page(self, text: str, after: str, limit: int, now: datetime) -> tuple[str, ...]:
        """Return the ids of some of the devices that a query means, those that follow `after`."""

    def listed(self, text: str, order: str, start: int, limit: int, now: datetime) -> tuple[tuple[str, ...], int]:
        """Return some ids of those that a query means, from the `start`-th on, and the number of all; `-id` orders downwards."""


class Preview(Protocol):
    """What a rollout would do."""

    def of(self, new: NewRollout, now: datetime) -> RolloutPreview:
        """Return how many would get which artifact, and how many nothing and why."""

    def chosen(self, new: NewRollout, limit: int, after: str, now: datetime) -> Part[TargetView]:
        """Return who would get which artifact, ordered by id, those after a device."""

    def excluded(self, new: NewRollout, limit: int, after: str, now: datetime) -> Part[ExcludedView]:
        """Return who would be left out and why, ordered by id, those after a device."""


class Groups(Protocol):
    """Groups and labels."""

    def groups(self, limit: int, after: str, now: datetime) -> Part[GroupView]:
        """Return groups by name, those after a name."""

    def group(self, name: str, now: datetime) -> GroupView:
        """Return a group; raise UnknownGroupError."""

    def members(self, name: str, limit: int, after: str, now: datetime) -> Part[GroupMember]:
        """Return a group's devices, ordered by id, those after a device; raise UnknownGroupError."""

    def whole(self, name: str, now: datetime) -> GroupDetail:
        """Return a group with all its devices; raise UnknownGroupError."""

    def save(self, name: str, new: NewGroup, seen: str | None, now: datetime) -> GroupView:
        """Keep a group and return it."""

    def remove(self, name: str, seen: str | None) -> None:
        """Forget a group."""

    def relabel(self, change: LabelChange) -> LabelledView:
        """Change labels."""


class Commands(Protocol):
    """What is asked of devices beside their work."""

    def add(self, command: Command) -> None:
        """Keep a new command, to be told to its device; raise UnknownDeviceError, RevokedError or TooManyCommandsError."""

    def command(self, device: str, number: str, now: datetime) -> CommandView:
        """Return a command and what it brought; raise UnknownCommandError."""

    def commands(self, device: str, now: datetime, limit: int, last: Key | None = None) -> Part[CommandSummary]:
        """Return a device's commands, newest first; raise UnknownDeviceError."""

    def costs(self, limit: int, last: Key | None = None) -> Part[Cost]:
        """Return what benchmarks found, newest first."""


class Configurations(Protocol):
    """Sets devices."""

    def change(self, change: ConfigurationChange, author: str, now: datetime, seen: str | None = None) -> tuple[ConfiguredDevice, ...]:
        """Change the settings of all devices that a query means; raise NoDevicesError or InvalidDocumentError."""

    def trial(self, change: ConfigurationChange, limit: int, after: str, now: datetime) -> Part[ConfiguredDevice]:
        """Say what a change would make of those devices of its query that follow `after`, ordered by id."""


class Trust(Protocol):
    """The files of the TUF repository."""

    def read(self, name: str) -> bytes:
        """Return a file, without a version its newest one; raise UnknownTrustFileError."""


class TrustDesk(Protocol):
    """Takes other keys in."""

    def new_key(self, role: Literal["snapshot", "timestamp", "director"]) -> OnlineKey:
        """Return the public half of the server's next key."""

    def change(self, change: TrustChange, now: datetime) -> TrustVersions:
        """Follow a change that offline keys signed."""


class Succession(Protocol):
    """Brings the fleet from one root of its authority to the next."""

    def state(self, now: datetime) -> AuthorityState:
        """Return the roots, and how many devices depend on the present one."""

    def dependents(self, limit: int, after: str, now: datetime) -> Part[Dependent]:
        """Return the devices that depend on the present one, ordered by id, those after a device."""

    def rotate(self, now: datetime) -> AuthorityState:
        """Introduce the next root."""

    def finish(self, now: datetime, *, leaves: bool) -> AuthorityState:
        """Let the present root go at the next start."""


class Incoming(Protocol):
    """A file that arrives in blocks; only `finish` makes it visible."""

    def write(self, block: bytes) -> None:
        """Append; raise TooLargeError."""

    def finish(self) -> None:
        """Check the digest; raise TamperedError."""

    def discard(self) -> None:
        """Clean up."""


class Artifacts(Protocol):
    """Files by digest."""

    def size_of(self, sha256: str) -> int | None:
        """Return a file's bytes; None when it is not here."""

    def read(self, sha256: str, start: int, length: int) -> bytes:
        """Return a part of a file; raise UnknownArtifactError."""

    def link(self, sha256: str, life_s: int) -> str | None:
        """Return a link to a file that is good for a while, where there is a store that gives such links."""

    def receive(self, sha256: str, max_bytes: int) -> Incoming:
        """Begin to take in a file."""


@dataclass(frozen=True)
class Addresses:
    """Where the API and the broker are reached, and the certificate by which they are recognised."""

    # On this machine alone.
    url: str
    # From everywhere, with TLS.
    public_url: str
    broker_host: str
    broker_port: int
    authority: str


class Simulated(Protocol):
    """Keeps devices that are played."""

    def add_simulated(self, devices: Sequence[Device]) -> None:
        """Keep them, where they are not kept yet; raise DeviceExistsError for the name of a real one."""


@dataclass(frozen=True)
class Rehearsal:
    """What a server has that takes simulated devices: the broker's door for them, and their list."""

    door: str
    devices: Simulated


@dataclass(frozen=True)
class Services:
    """All of it; `now` gives aware UTC."""

    reader: Reader
    lists: Lists
    device_pages: DevicePages
    settings_pages: SettingsPages
    # Reads something; raises StoreError while the database does not answer.
    probe: Callable[[], None]
    access: Access
    people: People
    audit: AuditLog
    enrolment: Enrolment
    succession: Succession
    releases: Releases
    rollouts: Rollouts
    commands: Commands
    repeats: Kept
    configurations: Configurations
    targeting: Targeting
    preview: Preview
    groups: Groups
    trust: Trust
    trust_desk: TrustDesk
    artifacts: Artifacts
    devices: Devices
    addresses: Addresses
    # None where real devices alone are served.
    simulation: Rehearsal | None
    now: Callable[[], datetime]
