"""What gets into the signed list of releases, and what does not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from tuf.api.metadata import Targets, Timestamp

from contracts import codec
from contracts.bundle import MANIFEST
from contracts.manifest import Manifest
from contracts.trust import DIRECTOR_TARGET, release_target_path
from fleet.errors.keys import KeyFileError, WrongKeyError
from fleet.errors.releases import CounterDoesNotGrowError, IncompleteReleaseError, UntrustedReleaseError
from fleet.release.admission import ReleaseDesk
from fleet.release.keys import KeyFolder, open_key
from fleet.release.metadata import read
from fleet.release.repository import Repository
from fleet.release.signing import Published, sign_release
from fleet.store.artifacts import ArtifactStore
from fleet.store.database import Database
from fleet.store.releases import ReleaseStore
from tests.fleet.bundles import make_bundle
from tests.sim.device import trust_updater

NOW = datetime.now(timezone.utc)


class Office:
    """A repository, its keys and its desk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = KeyFolder(folder / "keys")
        self.repository = Repository(folder / "trust", self.keys)
        self.repository.create(NOW)
        self.files = ArtifactStore((folder / "artifacts").as_uri())
        self.database = Database(folder / "fleet.db")
        self.desk = ReleaseDesk(self.repository, self.files, ReleaseStore(self.database), lambda: None)

    @property
    def published(self) -> Published:
        return Published(self.repository.read("root.json"), self.repository.read("targets.json"))

    def sign(self, manifest: Manifest, key: str = "targets") -> bytes:
        release = sign_release(self.published, manifest, {key: self.keys.signer(key)}, NOW).release
        assert release is not None
        return release.targets.encode()

    def upload(self, bundle: Path, manifest: Manifest) -> None:
        for path in [*manifest.files, MANIFEST]:
            raw = (bundle / path).read_bytes()
            incoming = self.files.receive(codec.sha256_of(raw), 1 << 30)
            incoming.write(raw)
            incoming.finish()
            incoming.discard()

    def release(self, number: int) -> Manifest:
        bundle = self.folder / f"bundle-{number}"
        manifest = make_bundle(bundle, release=number, size=1000)
        self.upload(bundle, manifest)
        return self.desk.add(self.sign(manifest), None, NOW)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_device_verifies_what_is_published_and_finds_release_and_director(office: Office, tmp_path: Path) -> None:
    manifest = office.release(1)
    (tmp_path / "root.json").write_bytes(office.repository.read("root.json"))

    updater = trust_updater(tmp_path, office.repository.published())

    release = updater.get_targetinfo(release_target_path("digits", 1))
    assert release is not None
    assert release.hashes["sha256"] == manifest.sha256
    assert release.custom == {"model": "digits", "release": 1, "targets": ["cpu"]}
    director = updater.get_targetinfo(DIRECTOR_TARGET)
    assert director is not None
    director.verify_length_and_hashes(office.repository.published()[DIRECTOR_TARGET])


def test_what_points_at_other_files_is_published_after_them(office: Office) -> None:
    office.release(1)

    names = list(office.repository.published())

    assert names == [
        "1.root.json",
        "1.targets.json",
        "2.targets.json",
        "director.json",
        "1.snapshot.json",
        "2.snapshot.json",
        "timestamp.json",
    ]


def test_old_versions_are_cleared_and_the_newest_two_kept(office: Office) -> None:
    for number in range(1, 4):
        office.release(number)

    assert [name for name in office.repository.published() if "targets" in name] == ["3.targets.json", "4.targets.json"]
    assert {"1.targets.json", "2.snapshot.json"} <= set(office.repository.obsolete())


def test_snapshot_and_timestamp_are_signed_anew_before_they_end(office: Office, tmp_path: Path) -> None:
    assert not office.repository.refresh(NOW)
    before = read(Timestamp, office.repository.read("timestamp.json")).signed.expires

    assert office.repository.refresh(NOW + timedelta(hours=13))

    assert read(Timestamp, office.repository.read("timestamp.json")).signed.expires > before
    (tmp_path / "root.json").write_bytes(office.repository.read("root.json"))
    trust_updater(tmp_path, office.repository.published())


@pytest.mark.parametrize("number", [1, 2])
def test_a_counter_that_does_not_grow_is_refused_before_anything_is_signed(office: Office, number: int) -> None:
    office.release(2)

    with pytest.raises(CounterDoesNotGrowError, match=f"release digits {number}: expected a counter above 2, found {number}"):
        office.release(number)


def test_the_server_refuses_a_counter_that_does_not_grow_whoever_signed_it(office: Office, tmp_path: Path) -> None:
    old = make_bundle(tmp_path / "old", release=1, size=1000)
    office.upload(tmp_path / "old", old)
    early = office.sign(old)
    office.release(2)
    document = read(Targets, early)
    document.signed.version += 1
    document.signed.targets |= read(Targets, office.repository.read("targets.json")).signed.targets
    document.sign(office.keys.signer("targets"))

    with pytest.raises(CounterDoesNotGrowError):
        office.desk.add(document.to_bytes(), None, NOW)


def test_targets_signed_by_another_key_are_refused(office: Office, tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "b", release=1, size=1000)
    office.upload(tmp_path / "b", manifest)
    document = read(Targets, office.sign(manifest))
    document.sign(office.keys.signer("director"))

    with pytest.raises(UntrustedReleaseError, match="expected a signature by this fleet's release key"):
        office.desk.add(document.to_bytes(), None, NOW)


def test_an_operator_builds_on_no_list_that_another_key_signed(office: Office, tmp_path: Path) -> None:
    with pytest.raises(WrongKeyError):
        office.sign(make_bundle(tmp_path / "b", release=1, size=1000), key="director")
    with pytest.raises(KeyFileError, match=r"root\.json: expected an ed25519 private key"):
        open_key(str(tmp_path / "trust" / "1.root.json"), lambda _name: "")


def test_a_release_that_was_signed_upon_an_older_list_is_refused(office: Office, tmp_path: Path) -> None:
    late = office.sign(make_bundle(tmp_path / "b", release=5, size=1000))
    office.release(1)

    with pytest.raises(UntrustedReleaseError, match="expected version 3, found version 2"):
        office.desk.add(late, None, NOW)


def test_a_release_may_not_change_those_before_it(office: Office, tmp_path: Path) -> None:
    office.release(1)
    document = read(Targets, office.sign(make_bundle(tmp_path / "b", release=2, size=1000)))
    del document.signed.targets[release_target_path("digits", 1)]
    document.sign(office.keys.signer("targets"))

    with pytest.raises(UntrustedReleaseError, match="expected all that was released before"):
        office.desk.add(document.to_bytes(), None, NOW)


def test_a_release_with_a_missing_file_is_refused_by_the_files_name(office: Office, tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "b", release=1, size=1000)
    office.upload(tmp_path / "b", manifest)
    entry = manifest.files["golden/cpu.npz"]
    (tmp_path / "artifacts" / entry.sha256[:2] / entry.sha256).unlink()

    with pytest.raises(IncompleteReleaseError, match=r"expected the content of golden/cpu\.npz"):
        office.desk.add(office.sign(manifest), None, NOW)
    assert len(office.repository.published()) == 5


def test_keys_are_for_their_owner_alone(office: Office) -> None:
    for name in ("root", "targets", "snapshot", "timestamp", "director"):
        assert office.keys.path_of(name).stat().st_mode & 0o777 == 0o600
    assert office.keys.path_of("targets").parent.name == "offline"
