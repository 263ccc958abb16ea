"""Damage on the disk is found by digest and mended by fetching again, also in releases that nobody uses just now."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from contracts import codec
from contracts.bundle import MANIFEST, file_entry
from contracts.chunks import chunk_count
from contracts.manifest import FileEntry
from tests.agent.adapters.test_store import ARTIFACT, GOLDEN, flip, unpacked
from tests.sim.releases import Release
from tests.sim.small_device import FIT, SmallDevice, live, release_of

LARGE_BYTES = 16 << 30
ENDS_S = 60.0


def device_after(state: Path, damage: Callable[[SmallDevice], None]) -> SmallDevice:
    """Return a device that has release 2 and 1 behind it, once it has inspected what `damage` left of them while it served."""
    asyncio.run(live(state, 2))
    device = SmallDevice(state)
    for number in (1, 2):
        device.source.hold(release_of(number))

    async def inspect() -> None:
        async with device.running():
            await device.until_served()
            damage(device)
            await device.inspection.inspect()

    asyncio.run(inspect())
    return device


def file_of(device: SmallDevice, number: int, path: str) -> Path:
    """Return where a file of a release lies."""
    return device.store.release_dir(release_of(number).manifest.sha256) / path


def is_right(device: SmallDevice, number: int) -> bool:
    """Say whether every byte of a release is."""
    return device.store.damaged(release_of(number).manifest.sha256, FIT) == {}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("path", [ARTIFACT, GOLDEN, MANIFEST])
def test_a_flipped_byte_is_mended_in_place_while_the_device_serves(tmp_path: Path, number: int, path: str) -> None:
    device = device_after(tmp_path, lambda device: flip(file_of(device, number, path)))
    assert is_right(device, 1)
    assert is_right(device, 2)
    assert device.launcher.served == [2]
    assert any(f"release {number} was damaged on disk; fetched again: {path}" in text for text in device.diary.texts)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_several_damaged_files_behind_a_damaged_manifest_are_all_mended(tmp_path: Path) -> None:
    def damage(device: SmallDevice) -> None:
        flip(file_of(device, 1, MANIFEST))
        flip(file_of(device, 1, ARTIFACT))
        file_of(device, 1, GOLDEN).unlink()

    assert is_right(device_after(tmp_path, damage), 1)


def test_a_copy_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    device = SmallDevice(tmp_path)
    raw = release_of(1).files[GOLDEN]
    assert not device.incoming.take(codec.sha256_of(raw), len(raw), tmp_path / "nowhere")
    assert not device.incoming.take(codec.sha256_of(raw), len(raw), tmp_path)


def test_damage_that_cannot_be_mended_now_is_told_and_stops_nothing(tmp_path: Path) -> None:
    def damage(device: SmallDevice) -> None:
        flip(file_of(device, 1, ARTIFACT))
        device.source.files.clear()

    device = device_after(tmp_path, damage)
    assert not is_right(device, 1)
    assert any("release 1 is damaged on disk, and could not be mended" in text for text in device.diary.texts)
    assert device.launcher.served == [2]


def test_a_sound_device_asks_for_nothing(tmp_path: Path) -> None:
    device = device_after(tmp_path, lambda _: None)
    assert device.source.asked == []


def test_a_large_release_is_served_before_it_is_read_and_a_small_one_after(tmp_path: Path) -> None:
    # Given a large and a small release, each with one flipped byte
    small, raw = release_of(1), bytes(65 << 20)
    manifest = small.manifest.model_copy(update={"release": 2, "files": {**small.manifest.files, ARTIFACT: file_entry(raw)}})
    large = Release(manifest, {**small.files, ARTIFACT: raw})
    device = SmallDevice(tmp_path)
    unpacked(device.store, 1)
    stage(device, large)
    for release in (small, large):
        flip(device.store.release_dir(release.manifest.sha256) / ARTIFACT)
    # Then the large one is at hand all the same, but not when it is new, nor when a part is missing
    assert asyncio.run(device.delivery.at_hand(small.ref)) is None
    assert asyncio.run(device.delivery.at_hand(large.ref)) is not None
    assert asyncio.run(device.delivery.installed(large.ref)) is None
    (device.store.release_dir(large.manifest.sha256) / GOLDEN).unlink()
    assert asyncio.run(device.delivery.at_hand(large.ref)) is None


def stage(device: SmallDevice, release: Release) -> None:
    """Unpack a release."""
    folder = device.store.root / "fetched"
    folder.mkdir()
    files = {path: folder / codec.sha256_of(raw) for path, raw in release.files.items()}
    for path, raw in release.files.items():
        files[path].write_bytes(raw)
    device.store.stage(release.manifest.sha256, codec.encode(release.manifest), files)


def test_an_agent_that_leaves_does_not_wait_until_a_large_release_was_read(tmp_path: Path) -> None:
    # Given a file of 16 GiB, which takes minutes to read without haste
    device = SmallDevice(tmp_path)
    small = unpacked(device.store, 1)[0]
    entry = FileEntry(sha256="0" * 64, bytes=LARGE_BYTES, chunks=("0" * 64,) * chunk_count(LARGE_BYTES))
    manifest = small.manifest.model_copy(update={"files": {**small.manifest.files, ARTIFACT: entry}})
    stage(device, Release(manifest, small.files))
    os.truncate(device.store.release_dir(manifest.sha256) / ARTIFACT, LARGE_BYTES)

    async def inspect_and_leave() -> None:
        with anyio.move_on_after(0.3):
            await device.delivery.mend(Release(manifest, {}).ref)

    before = threading.active_count()
    asyncio.run(inspect_and_leave())
    # Then the thread that read it ends when nobody waits for it any more
    end_s = time.monotonic() + ENDS_S
    while threading.active_count() > before:
        assert time.monotonic() < end_s, "the inspection goes on"
        time.sleep(0.05)
