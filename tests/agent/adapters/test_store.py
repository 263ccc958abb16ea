"""The state folder after things went wrong: what can be saved is saved, what is half done goes, and what is held twice is stored once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.adapters.store import MACHINE, StateStore
from agent.adapters.trust_files import TrustFiles
from agent.core.memory import Memory
from agent.core.retention import Retention
from agent.core.update import Update
from agent.errors import StateError
from contracts import codec
from contracts.errors import MissingFileError, TamperedError
from contracts.lifecycle import Phase
from tests.sim.releases import Release
from tests.sim.small_device import FIT, MODEL, SmallDevice, live, release_of

GOLDEN = "golden/inputs.npz"
ARTIFACT = "artifacts/cpu/model.onnx"


def unpacked(store: StateStore, *numbers: int) -> list[Release]:
    """Unpack releases as if they had been fetched."""
    releases = [release_of(number) for number in numbers]
    for release in releases:
        files = {path: store.root / f"fetched-{codec.sha256_of(raw)}" for path, raw in release.files.items()}
        for path, raw in release.files.items():
            files[path].write_bytes(raw)
        store.stage(release.manifest.sha256, codec.encode(release.manifest), files)
    return releases


def committed(store: StateStore) -> tuple[Release, Release]:
    """Commit release 2, with 1 behind it."""
    one, two = unpacked(store, 1, 2)
    store.save(MODEL, Update(phase=Phase.COMMITTED, wish=two.ref, current=two.ref, previous=one.ref))
    return one, two


def flip(file: Path) -> None:
    """Change one byte in place, as a bad cell would."""
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def test_a_machine_that_cannot_be_read_is_taken_up_from_its_links_and_its_releases_stay(tmp_path: Path) -> None:
    one, two = committed(StateStore(tmp_path))
    (tmp_path / "models" / MODEL / MACHINE).write_bytes(b"\0" * 300)
    store = StateStore(tmp_path)
    found = store.load(MODEL)
    assert (found.phase, found.current, found.previous, found.wish) == (Phase.COMMITTED, two.ref, one.ref, None)
    store.collect()
    assert {path.name for path in (tmp_path / "releases").iterdir()} == {one.manifest.sha256, two.manifest.sha256}


def test_links_that_a_crash_left_behind_the_machine_follow_it_at_the_start(tmp_path: Path) -> None:
    one, two = committed(StateStore(tmp_path))
    link = tmp_path / "models" / MODEL / "current"
    link.unlink()
    link.symlink_to(f"../../releases/{one.manifest.sha256}")
    StateStore(tmp_path)
    assert link.resolve().name == two.manifest.sha256


def test_what_was_half_done_when_the_process_died_is_removed_at_the_start(tmp_path: Path) -> None:
    one, two = committed(StateStore(tmp_path))
    TrustFiles(tmp_path)
    for folder in (f"releases/.{'a' * 64}.building/golden", f"releases/.{'b' * 64}.gone"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "part").write_bytes(b"x")
    part_of_a_file = f"releases/{one.manifest.sha256}/golden/.inputs.npz.new"
    for file in (f"models/{MODEL}/.{MACHINE}.new", part_of_a_file, "mirror/.desired.new", "trust/tmpab12"):
        (tmp_path / file).write_bytes(b"x")
    store = StateStore(tmp_path)
    TrustFiles(tmp_path)
    assert [str(path) for path in tmp_path.rglob(".*")] == []
    assert list((tmp_path / "trust").iterdir()) == []
    assert store.check(two.manifest.sha256, FIT) == two.manifest


def test_earlier_releases_stay_as_the_policy_says_and_go_when_room_is_needed(tmp_path: Path) -> None:
    store = StateStore(tmp_path, Retention(earlier_releases=3))
    releases = unpacked(store, 1, 2, 3, 4, 5, 6)
    store.save(MODEL, Update(phase=Phase.COMMITTED, current=releases[4].ref, previous=releases[3].ref))
    store.collect()
    kept = {path.name for path in (tmp_path / "releases").iterdir()}
    assert kept == {release.manifest.sha256 for release in releases[1:5]}
    store.collect(keep_earlier=False)
    kept = {path.name for path in (tmp_path / "releases").iterdir()}
    assert kept == {release.manifest.sha256 for release in releases[3:5]}


def test_a_glance_sees_what_is_missing_and_a_check_what_is_wrong(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    _, two = committed(store)
    file = store.release_dir(two.manifest.sha256) / ARTIFACT
    flip(file)
    assert store.glance(two.manifest.sha256, FIT) == two.manifest
    with pytest.raises(TamperedError):
        store.check(two.manifest.sha256, FIT)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(TamperedError):
        store.glance(two.manifest.sha256, FIT)
    file.unlink()
    with pytest.raises(MissingFileError):
        store.glance(two.manifest.sha256, FIT)


def test_a_damaged_release_is_mended_file_by_file(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    _, two = committed(store)
    digest = two.manifest.sha256
    flip(store.release_dir(digest) / ARTIFACT)
    (store.release_dir(digest) / GOLDEN).unlink()
    damaged = store.damaged(digest, FIT)
    assert {wanted.digest for wanted in damaged.values()} == {two.manifest.files[path].sha256 for path in (ARTIFACT, GOLDEN)}
    for path in damaged:
        fetched = tmp_path / f"fetched-{damaged[path].digest}"
        fetched.write_bytes(two.files[path])
        store.mend(digest, path, fetched)
    assert store.damaged(digest, FIT) == {}
    assert store.check(digest, FIT) == two.manifest


@pytest.mark.parametrize("blocked", ["releases", "models"])
def test_a_disk_that_does_not_take_the_folders_is_a_state_error_that_says_why(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).write_bytes(b"a file where a folder belongs")
    with pytest.raises(StateError) as caught:
        StateStore(tmp_path)
    assert caught.value.path.startswith(str(tmp_path))
    assert caught.value.reason == "File exists"


def test_a_machine_or_memory_that_the_disk_does_not_take_is_a_state_error_and_leaves_no_part_behind(tmp_path: Path) -> None:
    store, trust = StateStore(tmp_path), TrustFiles(tmp_path)
    for file in (tmp_path / "models" / MODEL / MACHINE, tmp_path / "memory.json", tmp_path / "api.token"):
        (file / "in the way").mkdir(parents=True)
    (tmp_path / "api.token" / "in the way").rmdir()
    (tmp_path / "api.token").rmdir()
    (tmp_path / "api.token").symlink_to(tmp_path / "nowhere" / "token")
    with pytest.raises(StateError):
        store.save(MODEL, Update())
    with pytest.raises(StateError):
        trust.remember(Memory(generation=1))
    assert list(tmp_path.rglob(".*.new")) == []


def test_a_file_that_releases_share_is_fetched_and_stored_once(tmp_path: Path) -> None:
    # Given a device with release 1
    asyncio.run(live(tmp_path, 1))
    device = SmallDevice(tmp_path)

    async def take_the_next() -> None:
        async with device.running():
            await device.wish(2)

    # When it takes release 2, which has the same golden inputs and another model
    asyncio.run(take_the_next())
    one, two = release_of(1).manifest, release_of(2).manifest
    assert one.files[GOLDEN].sha256 == two.files[GOLDEN].sha256
    # Then it asked for the model only, and the inputs are one file on the disk
    assert two.files[GOLDEN].sha256 not in device.source.asked
    assert two.files[ARTIFACT].sha256 in device.source.asked
    places = [device.store.release_dir(manifest.sha256) for manifest in (one, two)]
    assert len({(place / GOLDEN).stat().st_ino for place in places}) == 1
    assert len({(place / ARTIFACT).stat().st_ino for place in places}) == 2
