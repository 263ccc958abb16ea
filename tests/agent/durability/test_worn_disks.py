"""A disk that takes nothing more, or has no room: what is committed is served all the same."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path

from agent.control.wishes import Wish
from contracts import codec
from contracts.lifecycle import Phase
from tests.live.power import power_disk
from tests.sim.small_device import MODEL, SmallDevice, live, release_of

BLOCK_BYTES = 1 << 20
FILLS = 20


def test_a_device_whose_disk_has_become_read_only_still_serves_after_a_start(tmp_path: Path) -> None:
    async def start() -> list[int]:
        device = SmallDevice(state)
        async with device.running():
            await device.until_served()
        return device.launcher.served

    with power_disk(tmp_path) as disk:
        # Given a device that died at work, and a file system that was mounted read-only because of an error
        state = disk.folder / "state"
        asyncio.run(live(state, 2))
        (state / "releases" / f".{'a' * 64}.building").mkdir()
        (state / "models/digits/.update.json.new").write_bytes(b"part")
        disk.freeze()
        assert asyncio.run(start()) == [2]


def fill(file: Path) -> None:
    """Take every byte that is left on a disk, also what is given back meanwhile: by the journal, or by who has just ended."""
    with file.open("wb", buffering=0) as stream:
        for _ in range(FILLS):
            os.sync()
            for size in (BLOCK_BYTES, 4096, 1):
                with suppress(OSError):
                    while stream.write(bytes(size)) == size:
                        pass
            os.fsync(stream.fileno())
            if shutil.disk_usage(file).free == 0:
                return
    raise AssertionError(f"{shutil.disk_usage(file).free} bytes are left again and again")


def test_a_device_with_a_full_disk_serves_on_says_why_it_waits_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async def run() -> SmallDevice:
        device, release = SmallDevice(state), release_of(3)
        device.source.hold(release)
        async with device.running():
            await device.until_served()
            # When there is not one byte left for what the fleet wants next
            fill(junk)
            device.updater.wish(Wish(release.ref, len(codec.encode(release.manifest))), 3)
            # It may still have room for the state that says so, or not even for that
            await device.until(lambda report: "No space left on device" in report.reason or "found 0" in report.reason)
            assert device.store.load(MODEL).current == release_of(2).ref
            # And then there is room again
            junk.unlink()
            await device.until(lambda report: report.phase is Phase.COMMITTED and report.current == release.ref)
        return device

    with power_disk(tmp_path) as disk:
        # Given a device that serves release 2
        state, junk = disk.folder / "state", disk.folder / "junk"
        asyncio.run(live(state, 2))
        device = asyncio.run(run())
        # Then it served the old release until it served the new one
        assert device.launcher.served == [2, 3]
        assert device.launcher.torn == []
