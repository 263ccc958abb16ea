"""What the API needs of the rest of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from contracts.manifest import Manifest
from fleet.requests import OnlineKey, TrustChange, TrustVersions
from fleet.views import FleetReader


class Access(Protocol):
    """Who may enter."""

    def is_token(self, token: str) -> bool:
        """Say whether a token may enter."""

    def add_code(self, code: str, expires_at: datetime, now: datetime) -> None:
        """Let a code in once, until it expires."""


class Enrolment(Protocol):
    """Lets devices in."""

    def add(self, device: str, hardware: str, labels: Mapping[str, str], now: datetime) -> str:
        """Add a device and return its password."""


class Releases(Protocol):
    """Takes releases in."""

    def add(self, targets_raw: bytes, team: str | None, now: datetime) -> Manifest:
        """Take in a signed release, on the list of a model's team or on the fleet's."""


class Rollouts(Protocol):
    """Starts rollouts."""

    def start(self, model: str, query: str, release: int | None, deadline_s: float, now: datetime) -> int:
        """Freeze the target list and return the rollout's number."""


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

    def receive(self, sha256: str, max_bytes: int) -> Incoming:
        """Begin to take in a file."""


@dataclass(frozen=True)
class Addresses:
    """Where people reach the API, and devices the broker."""

    url: str
    broker_host: str
    broker_port: int


class DeviceDoor(Protocol):
    """Knows devices by their passwords."""

    def is_device(self, device: str, password: str) -> bool:
        """Say whether this is the device's own password."""


@dataclass(frozen=True)
class Services:
    """All of it; `now` gives aware UTC."""

    reader: FleetReader
    access: Access
    enrolment: Enrolment
    releases: Releases
    rollouts: Rollouts
    trust: Trust
    trust_desk: TrustDesk
    artifacts: Artifacts
    device_door: DeviceDoor
    addresses: Addresses
    now: Callable[[], datetime]
