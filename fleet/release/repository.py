"""Keeps the TUF repository in a folder: takes in targets signed offline, signs snapshot and timestamp, says what to publish."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from contracts.trust import DIRECTOR_TARGET
from fleet.errors import UnknownTrustFileError, UntrustedReleaseError
from fleet.files import write_whole
from fleet.release import metadata
from fleet.release.keys import KeyFolder

# Versioned files kept behind the current ones, for devices that are just reading them.
KEPT_VERSIONS = 2
_VERSIONED = re.compile(r"^(\d{1,9})\.(root|targets|snapshot)\.json$")


@dataclass(frozen=True)
class Admission:
    """Targets that may follow the current ones, and the release that they add."""

    raw: bytes
    added: TargetFile


class Repository:
    """The signed list of releases; every change ends with a new timestamp."""

    def __init__(self, folder: Path, keys: KeyFolder) -> None:
        """Use a folder that `create` filled."""
        self._folder = folder
        self._keys = keys
        self._lock = threading.Lock()

    def create(self, now: datetime) -> None:
        """Make keys and the first metadata, once; an interrupted creation starts over."""
        if (self._folder / "timestamp.json").exists():
            return
        names = (*metadata.ROLES, "director")
        self._keys.make_missing(names)
        signers = {name: self._keys.signer(name) for name in names}
        root = metadata.new_root({role: signers[role].public_key for role in metadata.ROLES}, now)
        targets, director = metadata.new_targets(signers["director"].public_key, now)
        self._write("1.root.json", metadata.sign(root, signers["root"]))
        self._write("1.targets.json", metadata.sign(targets, signers["targets"]))
        self._write(DIRECTOR_TARGET, director)
        self._sign_snapshot(now)

    def admit(self, raw: bytes, now: datetime) -> Admission:
        """Check targets against root and the current ones; raise UntrustedReleaseError or CounterDoesNotGrowError."""
        offered = metadata.read(Targets, raw)
        root = metadata.read(Root, self.read("root.json")).signed
        current = metadata.read(Targets, self.read("targets.json")).signed
        try:
            root.verify_delegate("targets", offered.signed_bytes, offered.signatures)
        except UnsignedMetadataError as error:
            raise UntrustedReleaseError("a signature by this fleet's release key", "none that verifies") from error
        if offered.signed.version != current.version + 1:
            raise UntrustedReleaseError(f"version {current.version + 1}", f"version {offered.signed.version}")
        if offered.signed.is_expired(now):
            raise UntrustedReleaseError("metadata that is still valid", f"an end at {offered.signed.expires:%Y-%m-%d %H:%M} UTC")
        return Admission(raw, _added(current.targets, offered.signed.targets))

    def accept(self, admission: Admission, now: datetime) -> None:
        """Make admitted targets the current ones."""
        with self._lock:
            version = metadata.read(Targets, admission.raw).signed.version
            self._write(f"{version}.targets.json", admission.raw)
            self._sign_snapshot(now)
            self._prune()

    def refresh(self, now: datetime) -> bool:
        """Sign snapshot and timestamp anew when half of either's life is over; return whether it was."""
        with self._lock:
            snapshot = metadata.read(Snapshot, self.read("snapshot.json")).signed
            timestamp = metadata.read(Timestamp, self.read("timestamp.json")).signed
            if snapshot.expires - now > metadata.SNAPSHOT_LIFE / 2 and timestamp.expires - now > metadata.TIMESTAMP_LIFE / 2:
                return False
            self._sign_snapshot(now)
            self._prune()
            return True

    def read(self, name: str) -> bytes:
        """Return a file; without a version its newest one. Raise UnknownTrustFileError."""
        if name in ("root.json", "targets.json", "snapshot.json"):
            versions = self._versions(name.removesuffix(".json"))
            name = f"{versions[-1]}.{name}" if versions else name
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise UnknownTrustFileError(name) from error

    def published(self) -> dict[str, bytes]:
        """Return what devices read, in the order in which it must reach them: the timestamp, which points at all, last."""
        names = [f"{version}.{role}.json" for role in ("root", "targets", "snapshot") for version in self._versions(role)]
        names.sort(key=lambda name: ("root" not in name, "snapshot" in name))
        snapshots = [name for name in names if "snapshot" in name]
        others = [name for name in names if "snapshot" not in name]
        return {name: self.read(name) for name in (*others, DIRECTOR_TARGET, *snapshots, "timestamp.json")}

    def obsolete(self) -> tuple[str, ...]:
        """Return names that were published lately and must be cleared now."""
        gone = []
        for role in ("targets", "snapshot"):
            oldest = self._versions(role)[0]
            gone += [f"{version}.{role}.json" for version in range(max(1, oldest - 10), oldest)]
        return tuple(gone)

    def _sign_snapshot(self, now: datetime) -> None:
        targets: Metadata[Targets] = metadata.read(Targets, self.read("targets.json"))
        snapshot = metadata.new_snapshot(self._next("snapshot"), targets, now)
        raw = metadata.sign(snapshot, self._keys.signer("snapshot"))
        self._write(f"{snapshot.version}.snapshot.json", raw)
        timestamp = metadata.new_timestamp(self._next_timestamp(), snapshot, raw, now)
        self._write("timestamp.json", metadata.sign(timestamp, self._keys.signer("timestamp")))

    def _next(self, role: str) -> int:
        return max(self._versions(role), default=0) + 1

    def _next_timestamp(self) -> int:
        if not (self._folder / "timestamp.json").exists():
            return 1
        return metadata.read(Timestamp, self.read("timestamp.json")).signed.version + 1

    def _prune(self) -> None:
        for role in ("targets", "snapshot"):
            for version in self._versions(role)[:-KEPT_VERSIONS]:
                (self._folder / f"{version}.{role}.json").unlink()

    def _versions(self, role: str) -> list[int]:
        matches = (_VERSIONED.match(path.name) for path in self._folder.glob(f"*.{role}.json"))
        return sorted(int(match[1]) for match in matches if match)

    def _write(self, name: str, raw: bytes) -> None:
        write_whole(self._folder / name, raw)


def _added(current: Mapping[str, TargetFile], offered: Mapping[str, TargetFile]) -> TargetFile:
    """Return the one target that is new; nothing else may have changed, for what was released stays released."""
    new = offered.keys() - current.keys()
    if len(new) != 1 or any(offered.get(path) != target for path, target in current.items()):
        raise UntrustedReleaseError("all that was released before and one release more", f"{len(new)} more, or others changed")
    return offered[new.pop()]
