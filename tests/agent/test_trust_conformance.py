"""How a device reads TUF metadata in which one thing is not as it should be (TUF specification, sections 5.3 to 5.6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from tests.sim.judge import Judge
from tests.sim.releases import make_release
from tests.sim.repository import Repository
from tests.sim.signed import envelope, wish_for

NOW = datetime.now(timezone.utc).replace(microsecond=0)
PAST = NOW - timedelta(days=1)


class Bench:
    """A fleet's repository whose files a case rewrites, and a device that has seen nothing but the first root."""

    def __init__(self, folder: Path) -> None:
        """List one release."""
        self.repository = Repository()
        self.device = Judge(folder, self.repository.root)
        self.repository.list(make_release(1))
        self.generation = 0

    @property
    def files(self) -> dict[str, bytes]:
        """What the broker holds."""
        return self.repository.files

    def verdict(self) -> str:
        """Return what the device says of a genuine wish."""
        self.generation += 1
        wish = envelope(wish_for("pi-1", self.generation, (make_release(1),), now=NOW), self.repository.director)
        return self.device.hear(self.files, wish, NOW)

    def timestamp(self, change: Callable[[Timestamp], object], *signers: CryptoSigner) -> None:
        """Sign another timestamp."""
        document = Timestamp.from_dict(_signed_part(self.files["timestamp.json"]))
        change(document)
        self.files["timestamp.json"] = _sealed(Metadata(document), *(signers or (self.repository.keys["timestamp"],)))

    def snapshot(self, change: Callable[[Snapshot], object], *signers: CryptoSigner) -> None:
        """Sign another snapshot, and a timestamp that names it."""
        document = Snapshot.from_dict(_signed_part(self.files[f"{self.repository.version}.snapshot.json"]))
        change(document)
        raw = _sealed(Metadata(document), *(signers or (self.repository.keys["snapshot"],)))
        self.files[f"{self.repository.version}.snapshot.json"] = raw
        self.timestamp(lambda each: setattr(each, "snapshot_meta", MetaFile.from_data(self.repository.version, raw, ["sha256"])))

    def targets(self, change: Callable[[Targets], object], *signers: CryptoSigner) -> None:
        """Sign another list of targets."""
        document = Targets.from_dict(_signed_part(self.files[f"{self.repository.version}.targets.json"]))
        change(document)
        raw = _sealed(Metadata(document), *(signers or (self.repository.keys["targets"],)))
        self.files[f"{self.repository.version}.targets.json"] = raw

    def root(self, change: Callable[[Root], object], *signers: CryptoSigner) -> None:
        """Sign a second root."""
        document = Root.from_dict(_signed_part(self.files["1.root.json"]))
        document.version = 2
        change(document)
        self.files["2.root.json"] = _sealed(Metadata(document), *(signers or (self.repository.keys["root"],)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


STRANGER = CryptoSigner.generate_ed25519()


def as_it_is(document: object) -> None:
    """Change nothing."""


def ended(document: Timestamp | Snapshot | Targets | Root) -> None:
    """Let it end yesterday."""
    document.expires = PAST


def of_another_specification(document: Timestamp | Snapshot | Targets | Root) -> None:
    """Follow a specification that does not exist yet."""
    document.spec_version = "2.0.0"


def one_key_counted_twice(root: Root) -> None:
    """Ask for two signatures of timestamps, where there is one key."""
    root.roles["timestamp"].threshold = 2


def naming_an_older_snapshot(timestamp: Timestamp) -> None:
    """Be the newest timestamp, of the second snapshot."""
    timestamp.version, timestamp.snapshot_meta = 6, MetaFile(version=2)


def withdraw(bench: Bench, name: str) -> None:
    """Publish nothing under a name, which is how MQTT forgets what was retained."""
    bench.files[name] = b""


def repeat_a_signature(bench: Bench) -> None:
    """Ask for two signatures, and give one twice."""
    bench.root(one_key_counted_twice)
    raw = bench.files["timestamp.json"]
    start, end = raw.index(b"["), raw.index(b"]")
    bench.files["timestamp.json"] = raw[:end] + b"," + raw[start + 1 : end] + raw[end:]


CASES: dict[str, tuple[Callable[[Bench], None], str]] = {
    "everything is as it should be": (lambda bench: bench.targets(as_it_is), "verified"),
    "the timestamp has ended": (lambda bench: bench.timestamp(ended), "freeze"),
    "the snapshot has ended": (lambda bench: bench.snapshot(ended), "freeze"),
    "the targets have ended": (lambda bench: bench.targets(ended), "freeze"),
    "the root has ended": (lambda bench: bench.root(ended), "freeze"),
    "a stranger signed the timestamp": (lambda bench: bench.timestamp(as_it_is, STRANGER), "forged"),
    "a stranger signed the snapshot": (lambda bench: bench.snapshot(as_it_is, STRANGER), "forged"),
    "a stranger signed the targets": (lambda bench: bench.targets(as_it_is, STRANGER), "forged"),
    "a stranger signed the root": (lambda bench: bench.root(as_it_is, STRANGER), "forged"),
    "the snapshot's key signed the timestamp": (lambda bench: bench.timestamp(as_it_is, bench.repository.keys["snapshot"]), "forged"),
    "the timestamp's key signed the targets": (lambda bench: bench.targets(as_it_is, bench.repository.keys["timestamp"]), "forged"),
    "the targets' key signed the root": (lambda bench: bench.root(as_it_is, bench.repository.keys["targets"]), "forged"),
    "a timestamp of another specification": (lambda bench: bench.timestamp(of_another_specification), "forged"),
    "a root of another specification": (lambda bench: bench.root(of_another_specification), "forged"),
    "one key where two are asked for": (lambda bench: bench.root(one_key_counted_twice), "forged"),
    "one key's signature twice where two are asked for": (
        repeat_a_signature,
        "forged",
    ),
    "a second root that calls itself the third": (lambda bench: bench.root(lambda root: setattr(root, "version", 3)), "rollback"),
    "a second root that is the first again": (lambda bench: bench.files.update({"2.root.json": bench.files["1.root.json"]}), "rollback"),
    "a snapshot of another version than the timestamp says": (
        lambda bench: bench.snapshot(lambda snapshot: setattr(snapshot, "version", 77)),
        "rollback",
    ),
    "targets of another version than the snapshot says": (
        lambda bench: bench.targets(lambda targets: setattr(targets, "version", 77)),
        "rollback",
    ),
    "a snapshot of no targets": (lambda bench: bench.snapshot(lambda snapshot: snapshot.meta.clear()), "forged"),
    "a snapshot under the timestamp's name": (
        lambda bench: bench.files.update({"timestamp.json": bench.files[f"{bench.repository.version}.snapshot.json"]}),
        "forged",
    ),
    "a snapshot that is not the one the timestamp names": (
        lambda bench: bench.timestamp(lambda timestamp: timestamp.snapshot_meta.hashes.update(sha256="0" * 64)),  # type: ignore[union-attr]
        "mix_and_match",
    ),
    "a snapshot longer than the timestamp says": (
        lambda bench: bench.timestamp(lambda timestamp: setattr(timestamp.snapshot_meta, "length", 10)),
        "endless_data",
    ),
    "no snapshot yet": (lambda bench: withdraw(bench, "2.snapshot.json"), "incomplete"),
    "no targets yet": (lambda bench: withdraw(bench, "2.targets.json"), "incomplete"),
    "no list of directors yet": (lambda bench: withdraw(bench, "director.json"), "incomplete"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_one_wrong_thing_in_the_metadata_is_taken_for(bench: Bench, case: str) -> None:
    rewrite, verdict = CASES[case]
    rewrite(bench)
    assert bench.verdict() == verdict


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json", "2.root.json", "director.json", "wish"])
@pytest.mark.parametrize(
    "rubbish",
    [b"null", b"[]", b"{}", b'{"signatures":[],"signed":{}}', b"\xff\xfe", b"[" * 200_000, b'{"signed":' * 20_000, b"9" * 100_000],
    ids=lambda raw: repr(raw[:20]),
)
def test_rubbish_in_place_of_a_file_is_refused(bench: Bench, name: str, rubbish: bytes) -> None:
    if name == "wish":
        assert bench.device.hear(bench.files, rubbish, NOW) == "forged"
    else:
        bench.files[name] = rubbish
        assert bench.verdict() in {"forged", "mix_and_match", "endless_data"}


def test_roots_that_have_ended_lead_to_one_that_has_not(bench: Bench) -> None:
    bench.repository.rotate("timestamp", expires=PAST)
    bench.repository.rotate("snapshot")
    assert bench.verdict() == "verified"


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_a_version_that_was_seen_is_never_undone_by_genuine_signatures(bench: Bench, role: str) -> None:
    # Given a device that has seen everything in version 5
    bench.repository.version = 4
    bench.repository.sign()
    assert bench.verdict() == "verified"
    # When a newer timestamp, all signatures genuine, leads to an older file
    if role == "targets":
        bench.repository.sign()
        bench.snapshot(lambda snapshot: setattr(snapshot, "meta", {"targets.json": MetaFile(version=2)}))
    else:
        bench.timestamp(naming_an_older_snapshot)
    # Then it is a rollback
    assert bench.verdict() == "rollback"


def _signed_part(raw: bytes) -> dict[str, object]:
    metadata: Metadata[Root] = Metadata.from_bytes(raw)
    return metadata.signed.to_dict()


def _sealed(metadata: Metadata[Root] | Metadata[Timestamp] | Metadata[Snapshot] | Metadata[Targets], *signers: CryptoSigner) -> bytes:
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()
