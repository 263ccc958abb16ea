"""Builds, reads and signs TUF metadata; the one place that knows its JSON form and its lifetimes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError
from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from contracts.codec import canonical
from contracts.manifest import MAX_MANIFEST_BYTES
from contracts.trust import DIRECTOR_TARGET, ISSUED_AT, DirectorKeys, ReleaseTarget
from fleet.errors import UntrustedReleaseError

# Signed offline, by a person who must have time to come back; the online keys sign as often as they like.
ROOT_LIFE = timedelta(days=365)
TARGETS_LIFE = timedelta(days=365)
SNAPSHOT_LIFE = timedelta(days=7)
TIMESTAMP_LIFE = timedelta(days=1)
ROLES = ("root", "targets", "snapshot", "timestamp")

AnySigned = TypeVar("AnySigned", Root, Targets, Snapshot, Timestamp)


def new_root(keys: Mapping[str, Key], now: datetime) -> Root:
    """Return the first root: one key and a threshold of one for each role."""
    root = Root(version=1, expires=_whole_seconds(now + ROOT_LIFE), consistent_snapshot=True)
    for role in ROLES:
        root.add_key(keys[role], role)
    return root


def new_targets(director: Key, now: datetime) -> tuple[Targets, bytes]:
    """Return the first targets, and the director file that they list."""
    content = canonical(DirectorKeys(keys={director.keyid: director.to_dict()}).model_dump(mode="json"))
    target = TargetFile.from_data(DIRECTOR_TARGET, content, ["sha256"])
    return Targets(version=1, expires=_whole_seconds(now + TARGETS_LIFE), targets={DIRECTOR_TARGET: target}), content


def next_targets(old: Targets, added: TargetFile, now: datetime) -> Targets:
    """Return the targets with one more."""
    return Targets(version=old.version + 1, expires=_whole_seconds(now + TARGETS_LIFE), targets={**old.targets, added.path: added})


def new_snapshot(version: int, targets: Metadata[Targets], now: datetime) -> Snapshot:
    """Return a snapshot that names the current targets."""
    meta = MetaFile(version=targets.signed.version)
    return Snapshot(version=version, expires=_whole_seconds(now + SNAPSHOT_LIFE), meta={"targets.json": meta})


def new_timestamp(version: int, snapshot: Snapshot, snapshot_raw: bytes, now: datetime) -> Timestamp:
    """Return a timestamp that names the current snapshot, and says when it did."""
    meta = MetaFile.from_data(snapshot.version, snapshot_raw, ["sha256"])
    issued = {ISSUED_AT: _whole_seconds(now).isoformat()}
    return Timestamp(version=version, expires=_whole_seconds(now + TIMESTAMP_LIFE), snapshot_meta=meta, unrecognized_fields=issued)


def sign(signed: AnySigned, signer: CryptoSigner) -> bytes:
    """Return signed metadata in the form that is published."""
    document: Metadata[AnySigned] = Metadata(signed)
    document.sign(signer)
    return document.to_bytes(JSONSerializer(compact=True))


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


def newest_counter(targets: Targets, model: str) -> int:
    """Return the highest release counter of a model, 0 when it has none."""
    releases = [custom_of(target) for path, target in targets.targets.items() if path != DIRECTOR_TARGET]
    return max((release.release for release in releases if release.model == model), default=0)


def manifest_digest(target: TargetFile) -> str:
    """Return the digest of a release's manifest; raise UntrustedReleaseError for a target without one, or one too large."""
    if "sha256" not in target.hashes or target.length > MAX_MANIFEST_BYTES:
        raise UntrustedReleaseError(f"{target.path} with a sha256 and at most {MAX_MANIFEST_BYTES} bytes", f"{target.length} bytes")
    return target.hashes["sha256"]


def _whole_seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
