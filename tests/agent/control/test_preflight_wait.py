"""A device that is too hot for a release waits, says so, and takes it when it has cooled down."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from agent.adapters.folder_source import FolderSource
from agent.adapters.incoming import Incoming
from agent.adapters.patcher_process import PatcherProcess
from agent.adapters.sensors import Sensors
from agent.adapters.store import StateStore
from agent.control.basket import Pace
from agent.control.delivery import Delivery
from agent.control.downloader import Downloader
from agent.control.shortcut import Shortcut
from agent.core.admission import Fit
from agent.core.preflight import Condition, Refusal
from contracts import codec
from tests.agent.control.test_downloads import as_folder
from tests.sim.releases import make_release


class Stove(Sensors):
    """Real sensors, but for the temperature."""

    temperature_c = 95.0

    async def condition(self) -> Condition:
        """Feel the heat that the test sets."""
        return replace(await super().condition(), temperature_c=self.temperature_c)


class Witness:
    """Hears how a download is doing."""

    def __init__(self) -> None:
        """Heard nothing."""
        self.shares: list[float] = []
        self.refusals: list[Refusal | None] = []
        self.heard = asyncio.Event()

    def on_progress(self, share: float) -> None:
        """Keep it."""
        self.shares.append(share)

    def on_refusal(self, refusal: Refusal | None) -> None:
        """Keep it."""
        self.refusals.append(refusal)
        self.heard.set()


def test_a_hot_device_waits_before_the_first_byte_and_goes_on_when_it_is_cool(tmp_path: Path) -> None:
    async def run() -> Witness:
        release = make_release(1)
        store, incoming, stove = StateStore(tmp_path), Incoming(tmp_path / "incoming"), Stove(tmp_path)
        downloader = Downloader((FolderSource(as_folder(tmp_path, release)),), incoming, Pace(0.0, None))
        shortcut = Shortcut(store, incoming, downloader, PatcherProcess())
        delivery = Delivery(store, incoming, shortcut, Fit(("cpu",), frozenset({"onnx"})), stove, look_again_s=0.02)
        witness = Witness()
        # Given a hot device that is told of a release
        fetching = asyncio.ensure_future(delivery.fetch(release.ref, len(codec.encode(release.manifest)), witness))
        await witness.heard.wait()
        await asyncio.sleep(0.1)
        # Then it says why it waits, once, and has asked for nothing
        assert [refusal.name for refusal in witness.refusals if refusal] == ["heat"]
        assert list((tmp_path / "incoming").iterdir()) == []
        # When it has cooled down, it fetches
        stove.temperature_c = 50.0
        await fetching
        return witness

    witness = asyncio.run(asyncio.wait_for(run(), 120))
    assert witness.refusals[-1] is None
    assert witness.shares[-1] == 1.0
