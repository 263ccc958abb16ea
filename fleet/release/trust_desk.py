"""Takes in other keys: checks a change that offline keys signed, then follows it whole, even if it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from contracts import codec
from contracts.errors import MissingFileError
from contracts.small_files import read_bounded
from contracts.trust import DIRECTOR_TARGET
from fleet.errors.keys import UntrustedChangeError
from fleet.files import write_whole
from fleet.release import metadata
from fleet.release.founding import director_key_ids
from fleet.release.keys import KeyFolder
from fleet.release.pending import MAX_PENDING_BYTES
from fleet.release.repository import Repository
from fleet.requests.releases import OnlineKey, TrustChange, TrustVersions

OnlineRole = Literal["snapshot", "timestamp", "director"]


class TrustDesk:
    """Where the holders of offline keys hand in changes."""

    def __init__(self, repository: Repository, keys: KeyFolder, journal: Path, on_change: Callable[[datetime, bool], None]) -> None:
        """Keep a change in `journal` until it is followed whole; tell `on_change` when, and whether the director is another."""
        self._repository = repository
        self._keys = keys
        self._journal = journal
        self._on_change = on_change

    def new_key(self, role: OnlineRole) -> OnlineKey:
        """Return the public half of a key that the server will use once the offline keys have named it."""
        with self._repository.lock:
            key = self._keys.next_key(role)
        return OnlineKey(key_id=key.keyid, key=key.to_dict())

    def change(self, change: TrustChange, now: datetime) -> TrustVersions:
        """Follow a change; raise UntrustedChangeError saying why not."""
        with self._repository.lock:
            self._check(change, now)
            write_whole(self._journal, codec.encode(change))
            self._follow(change, now)
            root = metadata.read(Root, self._repository.read("root.json")).signed
            targets = metadata.read(Targets, self._repository.read("targets.json")).signed
        return TrustVersions(root=root.version, targets=targets.version)

    def finish(self, now: datetime) -> None:
        """Follow to its end the change that the last run of the server left unfinished, if it did."""
        try:
            raw = read_bounded(self._journal, MAX_PENDING_BYTES)
        except MissingFileError:
            return
        with self._repository.lock:
            self._follow(codec.decode(TrustChange, raw, name=self._journal.name, max_bytes=MAX_PENDING_BYTES), now)

    def _follow(self, change: TrustChange, now: datetime) -> None:
        """Every step may run twice: the journal is removed last."""
        files = {}
        if change.root is not None:
            root = metadata.read(Root, change.root.encode()).signed
            files[f"{root.version}.root.json"] = change.root.encode()
            for role in ("snapshot", "timestamp"):
                self._keys.promote(role, root.roles[role].keyids)
        if change.director is not None:
            files[DIRECTOR_TARGET] = change.director.encode()
            self._keys.promote("director", director_key_ids(change.director.encode()))
        if change.targets is not None:
            targets = metadata.read(Targets, change.targets.encode()).signed
            files[f"{targets.version}.targets.json"] = change.targets.encode()
        self._repository.replace(files, now)
        self._on_change(now, change.director is not None)
        self._journal.unlink()

    def _check(self, change: TrustChange, now: datetime) -> None:
        root = metadata.read(Root, self._repository.read("root.json"))
        if change.root is not None:
            new = metadata.read(Root, change.root.encode())
            self._check_root(root.signed, new, now)
            root = new
        old = metadata.read(Targets, self._repository.read("targets.json"))
        targets = old if change.targets is None else metadata.read(Targets, change.targets.encode())
        _check_signed("targets.json", bool(root.signed.get_verification_result("targets", targets.signed_bytes, targets.signatures)))
        if change.targets is not None:
            _check_next("targets.json", old.signed.version, targets.signed, now)
            if _releases(targets.signed) != _releases(old.signed):
                raise UntrustedChangeError("targets.json", "the same releases as before", "others; releases are added one by one")
        self._check_director(change.director, targets.signed)

    def _check_root(self, old: Root, new: Metadata[Root], now: datetime) -> None:
        _check_next("root.json", old.version, new.signed, now)
        _check_signed("root.json", bool(new.signed.get_root_verification_result(old, new.signed_bytes, new.signatures)))
        if not new.signed.consistent_snapshot:
            raise UntrustedChangeError("root.json", "consistent snapshots, which every device reads by version", "none")
        for role in ("snapshot", "timestamp"):
            if not self._keys.holds(role, new.signed.roles[role].keyids) or new.signed.roles[role].threshold != 1:
                raise UntrustedChangeError("root.json", f"one {role} key, which this server holds", "others")

    def _check_director(self, change: str | None, targets: Targets) -> None:
        content = self._repository.read(DIRECTOR_TARGET) if change is None else change.encode()
        try:
            targets.targets[DIRECTOR_TARGET].verify_length_and_hashes(content)
        except (KeyError, LengthOrHashMismatchError) as error:
            raise UntrustedChangeError(DIRECTOR_TARGET, "the file that targets.json lists", "another") from error
        if not self._keys.holds("director", director_key_ids(content)):
            raise UntrustedChangeError(DIRECTOR_TARGET, "a key that this server holds", "others")


def _check_signed(name: str, is_signed: bool) -> None:
    if not is_signed:
        raise UntrustedChangeError(name, "signatures by enough of the keys before and the new ones", "fewer")


def _check_next(name: str, before: int, new: Root | Targets, now: datetime) -> None:
    if new.version != before + 1:
        raise UntrustedChangeError(name, f"version {before + 1}", f"version {new.version}")
    if new.is_expired(now):
        raise UntrustedChangeError(name, "metadata that is still valid", f"an end at {new.expires:%Y-%m-%d %H:%M} UTC")


def _releases(targets: Targets) -> dict[str, TargetFile]:
    return {path: target for path, target in targets.targets.items() if path != DIRECTOR_TARGET}
