"""What else surrounds an agent in a simulated day: a verifier, a disk that fills, a stick behind the link, and a clock that jumps."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import anyio

from agent.adapters.folder_source import FolderSource
from agent.adapters.incoming import Incoming
from agent.core.basket import Basket
from agent.core.clock_floor import Floor
from agent.core.memory import Memory
from agent.core.verdict import Question, Verdict, Verified
from agent.errors import SourceAwayError
from contracts import codec
from contracts.chunks import Bitmap
from contracts.downlinks import Desired
from tests.sim.day_broker import BOOT, DEVICE, SimBroker
from tests.sim.releases import Release
from tests.sim.shelf import FaultyFiles


class SimVerifier:
    """Finds every wish genuine; a wish is the number of a release."""

    def __init__(self, releases: Sequence[Release]) -> None:
        """Know the releases."""
        self._releases = releases

    async def ask(self, question: Question) -> Verdict:
        """Return the wish that the envelope numbers."""
        await asyncio.sleep(0.2)
        number = int(await anyio.Path(question.envelope_file).read_bytes())
        release = self._releases[number - 1]
        memory = Memory(generation=number, floor=Floor(moment=BOOT + timedelta(hours=number - 1), keys=()))
        desired = Desired(
            device=DEVICE, generation=number, issued_at=BOOT, expires_at=BOOT + timedelta(days=99), models={"digits": release.ref}
        )
        return Verified(desired=desired, manifest_bytes={"digits": len(codec.encode(release.manifest))}, memory=memory)


class World:
    """One device's surroundings, which outlive its agents."""

    def __init__(self, folder: Path) -> None:
        """Put everything under `folder`."""
        self.state, self.stick = folder / "state", folder / "stick"
        self.broker = SimBroker()
        self.files = FaultyFiles(self.state / "outbox")
        self.disk_is_full = False
        self.clock_error = timedelta()

    def fill_disk(self, is_full: bool) -> None:
        """Let the disk take nothing more, or everything again."""
        self.disk_is_full = is_full
        self.files.fault = "No space left on device" if is_full else ""


class LimitedIncoming(Incoming):
    """Real files, while there is room."""

    def __init__(self, folder: Path, world: World) -> None:
        """Live in `world`."""
        super().__init__(folder)
        self._world = world

    def begin(self, digest: str, size: int, chunks: Sequence[str] | None) -> Bitmap:
        """Make room, if there is any."""
        if self._world.disk_is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().begin(digest, size, chunks)


class RemoteSource(FolderSource):
    """A stick at the other end of the link."""

    def __init__(self, folder: Path, broker: SimBroker) -> None:
        """Be reached while `broker` is."""
        super().__init__(folder)
        self._broker = broker

    async def fill(self, basket: Basket, _bases: tuple[str, ...]) -> None:
        """Bring what is missing, while there is a link."""
        await asyncio.sleep(1.0)
        if not self._broker.is_up:
            raise SourceAwayError("no link")
        await super().fill(basket, _bases)
