"""A disk that takes nothing more, or has no room: what is committed is served all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.live.power import power_disk
from tests.sim.small_device import SmallDevice, live


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
