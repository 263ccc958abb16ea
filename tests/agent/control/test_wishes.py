"""A wish that the disk does not take waits in memory, and is followed only once it, and what proves it, is kept for good."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.trust_files import TrustFiles
from agent.control.reporter import Identity, Reporter
from agent.control.wishes import Wish, Wishes
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.shelf import Limits
from agent.core.verdict import Question, Verdict
from agent.verifier import verify
from contracts.agent_config import DeviceSection
from contracts.configuration import Configuration
from tests.sim.releases import make_release
from tests.sim.repository import Repository
from tests.sim.signed import envelope, wish_for
from tests.sim.small_device import MACHINE

DEVICE = "pi-1"


class VerifierAtHand:
    """The real verifier, without a process of its own."""

    async def ask(self, question: Question) -> Verdict:
        """Judge."""
        return verify(question, datetime.now(timezone.utc))


class Listener:
    """A device that listens for wishes, and keeps what it heard."""

    def __init__(self, folder: Path) -> None:
        """Provision it with a repository that lists release 1."""
        self.release, self.repository = make_release(1), Repository()
        self.repository.list(self.release)
        (folder / "root.json").write_bytes(self.repository.root)
        self.files = TrustFiles(folder / "state")
        self.heard: asyncio.Queue[tuple[dict[str, Wish], int]] = asyncio.Queue()
        outbox = Outbox(OutboxFiles(folder / "outbox"), Limits(1 << 20, 3600.0), time.monotonic)
        reporter = Reporter(Identity(DeviceSection(id=DEVICE, hardware="cpu"), "0", {}, MACHINE, "0" * 16), Memory(), outbox)
        self.wishes = Wishes(self.files, VerifierAtHand(), reporter, str(folder / "root.json"), self.hear_wish, retry_s=0.02)

    def hear_wish(self, wishes: dict[str, Wish], generation: int, _: Configuration | None) -> None:
        """Keep it."""
        self.heard.put_nowait((wishes, generation))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen for as long as the block lasts."""
        task = asyncio.ensure_future(self.wishes.run())
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def hear(self) -> None:
        """Hear all that a broker retains for the device."""
        for name, raw in self.repository.files.items():
            await self.wishes.hear_trust_file(name, raw)
        await self.wishes.hear_desired(envelope(wish_for(DEVICE, 7, (self.release,)), self.repository.director))


@pytest.mark.parametrize("blocked", ["mirror/timestamp.json", "mirror/desired", "memory.json"])
def test_a_wish_that_the_disk_does_not_take_is_followed_when_it_does(tmp_path: Path, blocked: str) -> None:
    async def run() -> tuple[Listener, tuple[dict[str, Wish], int]]:
        # Given a file that cannot be written, because a folder is in its way
        listener = Listener(tmp_path)
        obstacle = listener.files.mirror_dir.parent / blocked
        (obstacle / "in the way").mkdir(parents=True)
        async with listener.running():
            await listener.hear()
            await asyncio.sleep(1.0)
            # Then nothing is followed, and nobody falls over
            assert listener.heard.empty()
            # When the disk takes it again, the wish is followed, without being sent again
            shutil.rmtree(obstacle)
            return listener, await listener.heard.get()

    listener, (wishes, generation) = asyncio.run(asyncio.wait_for(run(), 120))
    assert wishes["digits"].release == listener.release.ref
    assert listener.files.memory().generation == generation == 7
