"""A TUF repository in memory, all keys at hand: real metadata, which a test may also sign wrongly or late."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from contracts import codec
from contracts.trust import DIRECTOR_TARGET, ISSUED_AT, SOURCES, DirectorKeys, ReleaseTarget, release_target_path
from tests.sim.releases import Release

Kind = TypeVar("Kind", Root, Snapshot, Targets, Timestamp)
LIFE = timedelta(days=1)
ROLES = ("root", "targets", "snapshot", "timestamp")


class Repository:
    """A TUF repository in memory, all keys at hand."""

    def __init__(self) -> None:
        """Make keys and the first metadata."""
        self.keys = {role: CryptoSigner.generate_ed25519() for role in ROLES}
        self.director = CryptoSigner.generate_ed25519()
        self.version = 0
        self.targets: dict[str, TargetFile] = {}
        self.files: dict[str, bytes] = {}
        self.root_version = 1
        self.root = self._sign_root(_later(), self.keys["root"])
        self.name_director(self.director)

    def rotate(self, *roles: str, expires: datetime | None = None) -> None:
        """Replace keys by a new root that old and new root keys sign, and sign everything below it anew."""
        old = self.keys["root"]
        self.keys |= {role: CryptoSigner.generate_ed25519() for role in roles}
        self.root_version += 1
        self._sign_root(expires or _later(), old, self.keys["root"])
        self.sign(expires)

    def name_director(self, director: CryptoSigner) -> None:
        """List a director's key, in place of the one before."""
        self.director, key = director, director.public_key
        self.files[DIRECTOR_TARGET] = codec.encode(DirectorKeys(keys={key.keyid: key.to_dict()}))
        self.targets[DIRECTOR_TARGET] = TargetFile.from_data(DIRECTOR_TARGET, self.files[DIRECTOR_TARGET], ["sha256"])
        self.sign()

    def _sign_root(self, expires: datetime, *signers: CryptoSigner) -> bytes:
        root = Root(version=self.root_version, expires=expires, consistent_snapshot=True)
        for role, signer in self.keys.items():
            root.add_key(signer.public_key, role)
        raw = self.files[f"{self.root_version}.root.json"] = _signed(root, *signers)
        return raw

    def list(self, release: Release, sources: tuple[str, ...] = ()) -> None:
        """Add a release, and the servers that it names."""
        path = release_target_path(release.manifest.name, release.manifest.release)
        target = TargetFile.from_data(path, codec.encode(release.manifest), ["sha256"])
        custom = ReleaseTarget(model=release.manifest.name, release=release.manifest.release, targets=tuple(release.manifest.artifacts))
        target.unrecognized_fields["custom"] = custom.model_dump(mode="json")
        if sources:
            target.unrecognized_fields[SOURCES] = list(sources)
        self.targets[path] = target
        self.sign()

    def sign(self, expires: datetime | None = None, issued_at: datetime | None = None) -> None:
        """Sign everything below root anew; the timestamp says when only if it is told to."""
        self.version += 1
        version, expires = self.version, expires or _later()
        targets = _signed(Targets(version=version, expires=expires, targets=self.targets), self.keys["targets"])
        snapshot = _signed(
            Snapshot(version=version, expires=expires, meta={"targets.json": MetaFile(version=version)}), self.keys["snapshot"]
        )
        meta = MetaFile.from_data(version, snapshot, ["sha256"])
        issued = {} if issued_at is None else {ISSUED_AT: issued_at.isoformat()}
        timestamp = _signed(
            Timestamp(version=version, expires=expires, snapshot_meta=meta, unrecognized_fields=issued), self.keys["timestamp"]
        )
        self.files |= {f"{version}.targets.json": targets, f"{version}.snapshot.json": snapshot, "timestamp.json": timestamp}


def _later() -> datetime:
    return (datetime.now(timezone.utc) + LIFE).replace(microsecond=0)


def _signed(document: Kind, *signers: CryptoSigner) -> bytes:
    metadata = Metadata(document)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()
