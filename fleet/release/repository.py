"""Keeps the TUF repository in a folder: takes in what was signed offline, signs snapshot and timestamp, says what to publish."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp

from contracts.trust import DIRECTOR_TARGET, team_role
from fleet.errors.releases import UnknownTrustFileError, UntrustedReleaseError
from fleet.files import write_whole
from fleet.folder_lock import FolderLock
from fleet.release import metadata
from fleet.release.founding import FIRST_ROOT, Office, check_same, found, take_over
from fleet.release.keys import KeyFolder

# Versioned files kept behind the current ones, for devices that are just reading them.
KEPT_VERSIONS = 2
_VERSIONED = re.compile(r"^(\d{1,9})\.(root|targets|snapshot|model-.+)\.json$")


@dataclass(frozen=True)
class Admission:
    """A list that may follow the current one, and the release that it adds."""

    role: str
    version: int
    raw: bytes
    added: TargetFile


class Repository:
    """The signed lists of releases; every change ends with a new timestamp."""

    def __init__(self, folder: Path, keys: KeyFolder) -> None:
        """Use a folder that `create` or `take_over` filled."""
        self._folder = folder
        self._keys = keys
        # Held while several things are checked or changed as one; servers may share the folder.
        self.lock = FolderLock(folder)

    def create(self, now: datetime) -> None:
        """Make keys and the first metadata, once; an interrupted creation starts over."""
        if self._is_begun():
            return
        self._keys.make_missing((*metadata.ROLES, "director"))
        signers = {name: self._keys.signer(name) for name in (*metadata.ROLES, "director")}
        online = {name: signers[name] for name in ("snapshot", "timestamp", "director")}
        for name, raw in found(Office((signers["root"],)), Office((signers["targets"],)), online, now).items():
            self._write(name, raw)
        self.sign_snapshot(now)

    def take_over(self, source: Path, now: datetime) -> None:
        """Begin with the keys and metadata of a server folder, once; raise ForeignTrustError for another fleet's."""
        if self._is_begun():
            check_same(source, self.read(FIRST_ROOT))
            return
        take_over(source, self._folder, self._keys)
        self.sign_snapshot(now)

    def admit(self, raw: bytes, team: str | None, now: datetime) -> Admission:
        """Check a list against root and the current ones; raise UntrustedReleaseError."""
        offered = metadata.read(Targets, raw)
        current = self.current_list(team)
        role = "targets" if team is None else team_role(team)
        try:
            self._delegator(team).verify_delegate(role, offered.signed_bytes, offered.signatures)
        except UnsignedMetadataError as error:
            raise UntrustedReleaseError("a signature by this fleet's release key", "none that verifies") from error
        except ValueError as error:
            raise UntrustedReleaseError("a list that is delegated to a team", f"one of {team}, which is not") from error
        if offered.signed.version != current.version + 1:
            raise UntrustedReleaseError(f"version {current.version + 1}", f"version {offered.signed.version}")
        if offered.signed.is_expired(now):
            raise UntrustedReleaseError("metadata that is still valid", f"an end at {offered.signed.expires:%Y-%m-%d %H:%M} UTC")
        if offered.signed.delegations != current.delegations:
            raise UntrustedReleaseError("the same delegations as before", "others")
        return Admission(role, offered.signed.version, raw, _added(current.targets, offered.signed.targets))

    def accept(self, admission: Admission, now: datetime) -> None:
        """Make an admitted list the current one."""
        self.replace({f"{admission.version}.{admission.role}.json": admission.raw}, now)

    def replace(self, files: Mapping[str, bytes], now: datetime) -> None:
        """Write new versions of files, and sign what names them; doing it twice does no harm."""
        with self.lock:
            for name, raw in files.items():
                self._write(name, raw)
            self.sign_snapshot(now)
            self._prune()

    def refresh(self, now: datetime) -> bool:
        """Sign snapshot and timestamp anew when half of either's life is over; return whether it was."""
        with self.lock:
            snapshot = metadata.read(Snapshot, self.read("snapshot.json")).signed
            timestamp = metadata.read(Timestamp, self.read("timestamp.json")).signed
            if snapshot.expires - now > metadata.SNAPSHOT_LIFE / 2 and timestamp.expires - now > metadata.TIMESTAMP_LIFE / 2:
                return False
            self.replace({}, now)
            return True

    def read(self, name: str) -> bytes:
        """Return a file; without a version its newest one. Raise UnknownTrustFileError."""
        versions = self._versions(name.removesuffix(".json"))
        try:
            return (self._folder / (f"{versions[-1]}.{name}" if versions else name)).read_bytes()
        except FileNotFoundError as error:
            raise UnknownTrustFileError(name) from error

    def current_list(self, team: str | None) -> metadata.ReleaseList:
        """Return the list that the fleet's next release builds on, or a team's."""
        top = metadata.read(Targets, self.read("targets.json")).signed
        if team is None:
            return metadata.ReleaseList(top.version, top.targets, top.delegations)
        is_there = bool(self._versions(team_role(team)))
        return metadata.team_list(top, team, self.read(f"{team_role(team)}.json") if is_there else None)

    def published(self) -> dict[str, bytes]:
        """Return what devices read, in the order in which it must reach them: the timestamp, which points at all, last."""
        with self.lock:
            names = [f"{version}.{role}.json" for role in ("root", *self._lists()) for version in self._versions(role)]
            snapshots = [f"{version}.snapshot.json" for version in self._versions("snapshot")]
            return {name: self.read(name) for name in (*names, DIRECTOR_TARGET, *snapshots, "timestamp.json")}

    def obsolete(self) -> tuple[str, ...]:
        """Return names that were published lately and must be cleared now."""
        gone = []
        for role in (*self._lists(), "snapshot"):
            oldest = self._versions(role)[0]
            gone += [f"{version}.{role}.json" for version in range(max(1, oldest - 10), oldest)]
        return tuple(gone)

    def sign_snapshot(self, now: datetime) -> None:
        """Sign a snapshot of every list, and the timestamp that names it."""
        lists = {role: self._versions(role)[-1] for role in self._lists()}
        snapshot = metadata.new_snapshot(max(self._versions("snapshot"), default=0) + 1, lists, now)
        raw = metadata.sign(snapshot, self._keys.signer("snapshot"))
        self._write(f"{snapshot.version}.snapshot.json", raw)
        timestamp = metadata.new_timestamp(self._next_timestamp(), snapshot, raw, now)
        self._write("timestamp.json", metadata.sign(timestamp, self._keys.signer("timestamp")))

    def _delegator(self, team: str | None) -> Root | Targets:
        if team is None:
            return metadata.read(Root, self.read("root.json")).signed
        return metadata.read(Targets, self.read("targets.json")).signed

    def _is_begun(self) -> bool:
        return (self._folder / "timestamp.json").exists()

    def _next_timestamp(self) -> int:
        return metadata.read(Timestamp, self.read("timestamp.json")).signed.version + 1 if self._is_begun() else 1

    def _prune(self) -> None:
        for role in (*self._lists(), "snapshot"):
            for version in self._versions(role)[:-KEPT_VERSIONS]:
                (self._folder / f"{version}.{role}.json").unlink()

    def _lists(self) -> list[str]:
        """Return the roles that list targets; a team's stays in the snapshot for ever, because devices let none vanish."""
        matches = (_VERSIONED.match(path.name) for path in self._folder.glob("*.json"))
        teams = {match[2] for match in matches if match and match[2].startswith("model-")}
        return ["targets", *sorted(teams)]

    def _versions(self, role: str) -> list[int]:
        matches = (_VERSIONED.match(path.name) for path in self._folder.glob(f"*.{role}.json"))
        return sorted(int(match[1]) for match in matches if match and match[2] == role)

    def _write(self, name: str, raw: bytes) -> None:
        write_whole(self._folder / name, raw)


def _added(current: Mapping[str, TargetFile], offered: Mapping[str, TargetFile]) -> TargetFile:
    """Return the one target that is new; nothing else may have changed, for what was released stays released."""
    new = offered.keys() - current.keys()
    if len(new) != 1 or any(offered.get(path) != target for path, target in current.items()):
        raise UntrustedReleaseError("all that was released before and one release more", f"{len(new)} more, or others changed")
    return offered[new.pop()]
