"""Builds, reads and signs TUF metadata; the one place that knows its JSON form and its lifetimes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError
from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Delegations, Metadata, MetaFile, Role, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from contracts.codec import canonical
from contracts.manifest import MAX_MANIFEST_BYTES
from contracts.trust import DIRECTOR_TARGET, ISSUED_AT, SOURCES, DirectorKeys, ReleaseSources, ReleaseTarget, team_role
from fleet.errors.keys import ThresholdError
from fleet.errors.releases import UntrustedReleaseError

# Signed offline, by a person who must have time to come back; the online keys sign as often as they like.
ROOT_LIFE = timedelta(days=365)
TARGETS_LIFE = timedelta(days=365)
SNAPSHOT_LIFE = timedelta(days=7)
TIMESTAMP_LIFE = timedelta(days=1)
# How metadata is written wherever it goes.
FORM = JSONSerializer(compact=True)
ROLES = ("root", "targets", "snapshot", "timestamp")

AnySigned = TypeVar("AnySigned", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True)
class RoleKeys:
    """Who may sign a role, and how many of them must."""

    keys: tuple[Key, ...]
    threshold: int = 1


def new_root(roles: Mapping[str, RoleKeys], now: datetime) -> Root:
    """Return the first root; raise ThresholdError."""
    root = Root(version=1, expires=_whole_seconds(now + ROOT_LIFE), consistent_snapshot=True)
    for name in ROLES:
        for key in roles[name].keys:
            root.add_key(key, name)
        set_threshold(name, root.roles[name], roles[name].threshold)
    return root


def set_threshold(name: str, role: Role, threshold: int) -> None:
    """Ask for so many signatures; raise ThresholdError."""
    if not 1 <= threshold <= len(role.keyids):
        raise ThresholdError(name, threshold, len(role.keyids))
    role.threshold = threshold


def next_root(old: Root, now: datetime) -> Root:
    """Return a copy of the root with the next version and a whole life before it."""
    root = Root.from_dict(old.to_dict())
    root.version += 1
    root.expires = _whole_seconds(now + ROOT_LIFE)
    return root


def director_file(director: Key) -> tuple[TargetFile, bytes]:
    """Return the file with the director's public key, and the target that lists it."""
    content = canonical(DirectorKeys(keys={director.keyid: director.to_dict()}).model_dump(mode="json"))
    return TargetFile.from_data(DIRECTOR_TARGET, content, ["sha256"]), content


def new_targets(version: int, targets: Mapping[str, TargetFile], delegations: Delegations | None, now: datetime) -> Targets:
    """Return a list of targets."""
    return Targets(version=version, expires=_whole_seconds(now + TARGETS_LIFE), targets=dict(targets), delegations=delegations)


def new_snapshot(version: int, versions: Mapping[str, int], now: datetime) -> Snapshot:
    """Return a snapshot that names the current version of every list of targets."""
    meta = {f"{role}.json": MetaFile(version=number) for role, number in versions.items()}
    return Snapshot(version=version, expires=_whole_seconds(now + SNAPSHOT_LIFE), meta=meta)


def new_timestamp(version: int, snapshot: Snapshot, snapshot_raw: bytes, now: datetime) -> Timestamp:
    """Return a timestamp that names the current snapshot, and says when it did."""
    meta = MetaFile.from_data(snapshot.version, snapshot_raw, ["sha256"])
    issued = {ISSUED_AT: _whole_seconds(now).isoformat()}
    return Timestamp(version=version, expires=_whole_seconds(now + TIMESTAMP_LIFE), snapshot_meta=meta, unrecognized_fields=issued)


def sign(signed: AnySigned, *signers: Signer) -> bytes:
    """Return signed metadata in the form that is published."""
    document: Metadata[AnySigned] = Metadata(signed)
    for signer in signers:
        document.sign(signer, append=True)
    return document.to_bytes(FORM)


def read(kind: type[AnySigned], raw: bytes) -> Metadata[AnySigned]:
    """Read metadata of a kind, unverified; raise UntrustedReleaseError when it is something else."""
    try:
        document: Metadata[AnySigned] = Metadata.from_bytes(raw)
    except DeserializationError as error:
        raise UntrustedReleaseError("TUF metadata", f"something else ({error})") from error
    if not isinstance(document.signed, kind):
        raise UntrustedReleaseError(f"{kind.__name__} metadata", type(document.signed).__name__)
    return document


def custom_of(target: TargetFile) -> ReleaseTarget:
    """Return what a release's target says of it; raise UntrustedReleaseError."""
    try:
        return ReleaseTarget.model_validate(target.custom)
    except ValidationError as error:
        raise UntrustedReleaseError(f"{target.path} to name model, release and targets", repr(target.custom)[:80]) from error


def sources_of(target: TargetFile) -> ReleaseSources:
    """Return the servers that a release names for its files; raise UntrustedReleaseError."""
    named = target.unrecognized_fields.get(SOURCES, ())
    try:
        return ReleaseSources.model_validate({SOURCES: named})
    except ValidationError as error:
        raise UntrustedReleaseError(f"{target.path} to name https:// servers", repr(named)[:80]) from error


def newest_counter(targets: Mapping[str, TargetFile], model: str) -> int:
    """Return the highest release counter of a model, 0 when it has none."""
    releases = [custom_of(target) for path, target in targets.items() if path != DIRECTOR_TARGET]
    return max((release.release for release in releases if release.model == model), default=0)


@dataclass(frozen=True)
class ReleaseList:
    """A list of releases that the next one builds on, the fleet's or a team's."""

    version: int
    targets: Mapping[str, TargetFile]
    delegations: Delegations | None = None


def team_list(top: Targets, model: str, raw: bytes | None) -> ReleaseList:
    """Return a team's list, as far as those stand by it whom `top` names now; without them only its version counts.

    So a list that a stolen team key signed is gone once the key is, and its version still grows, as devices ask.
    """
    if raw is None:
        return ReleaseList(0, {})
    found = read(Targets, raw)
    try:
        is_believed = bool(top.get_verification_result(team_role(model), found.signed_bytes, found.signatures))
    except ValueError:  # nobody is named
        is_believed = False
    return ReleaseList(found.signed.version, found.signed.targets if is_believed else {})


def manifest_digest(target: TargetFile) -> str:
    """Return the digest of a release's manifest; raise UntrustedReleaseError for a target without one, or one too large."""
    if "sha256" not in target.hashes or target.length > MAX_MANIFEST_BYTES:
        raise UntrustedReleaseError(f"{target.path} with a sha256 and at most {MAX_MANIFEST_BYTES} bytes", f"{target.length} bytes")
    return target.hashes["sha256"]


def _whole_seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
