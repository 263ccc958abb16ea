"""Several models on one device in simulated time: the agent's real updaters, state and files, on a disk that fills and rots.

Every state that is saved is held against the one before it: what must never happen is an error at the moment when it happens.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from agent.adapters.incoming import Incoming
from agent.adapters.patcher_process import PatcherProcess
from agent.adapters.sensors import Sensors
from agent.adapters.store import StateStore
from agent.control.basket import Pace
from agent.control.delivery import Delivery
from agent.control.downloader import Downloader
from agent.control.shortcut import Shortcut
from agent.control.updater import Updater, Workshop
from agent.control.wishes import Wish
from agent.control.worker import Patience
from agent.core import probation
from agent.core.preflight import Condition
from agent.core.probation import Heat
from agent.core.update import Update
from agent.errors import StateError
from contracts import codec
from contracts.chunks import Bitmap
from contracts.lifecycle import FINAL, Phase
from contracts.messages import ReleaseRef
from tests.sim.day_workers import SimLauncher, SimProcess
from tests.sim.releases import make_release
from tests.sim.small_device import FIT, SmallDevice, wrong_files

MODELS = ("digits", "door")
# By release: one whose worker crashes as soon as it serves, and one that fails its golden set. Neither may ever be committed.
BEHAVIOURS = {3: "crash", 5: "golden"}
RELEASES = range(1, 7)
SIZE = 3000
# Longer than any phase takes once the disk takes everything again.
LONG_S = 2 * 3600.0
PULSE_S = 20.0


class Disk:
    """A disk that may take nothing more."""

    is_full = False

    def check(self) -> None:
        """Raise OSError when it is full."""
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


class WatchedStore(StateStore):
    """Real files while there is room; every state is held against the one before it."""

    def __init__(self, root: Path, disk: Disk) -> None:
        """Keep everything on `disk`."""
        super().__init__(root)
        self._disk = disk

    def save(self, model: str, update: Update) -> None:
        """Keep a state that may follow."""
        check_follows(self.load(model), update)
        if self._disk.is_full:
            raise StateError(str(self.root), "No space left on device")
        super().save(model, update)

    def stage(self, digest: str, manifest: bytes, files: Mapping[str, Path]) -> None:
        """Unpack, where there is room."""
        self._disk.check()
        super().stage(digest, manifest, files)


class LimitedIncoming(Incoming):
    """Real files while there is room."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        """Keep them on `disk`."""
        super().__init__(folder)
        self._disk = disk

    def begin(self, digest: str, size: int, chunks: Sequence[str] | None) -> Bitmap:
        """Make room, if there is any."""
        self._disk.check()
        return super().begin(digest, size, chunks)


def check_follows(before: Update, after: Update) -> None:
    """Assert what holds of any two states in a row."""
    assert after.generation >= before.generation, "the generation shrank"
    for slot in (after.current, after.previous, after.good):
        assert slot is None or slot.release not in BEHAVIOURS, f"a bad release was kept: {slot}"
    if after.current == before.current or before.current is None:
        return
    ways = (before.candidate, before.previous)
    assert after.current is None or after.current in ways, f"{after.current} came from nowhere: {before}"
    if after.current is not None and after.current.release < before.current.release:
        assert after.current == before.previous, "the release counter shrank, and not to what was kept for the way back"


class CalmSensors(Sensors):
    """A device that is never too hot, and has room."""

    async def condition(self) -> Condition:
        """Be in a state to take more."""
        return Condition(disk_free_bytes=1 << 40, memory_free_bytes=1 << 40)

    async def heat(self) -> Heat:
        """Be cool."""
        return Heat(30.0, False)


class Launcher(SimLauncher):
    """Starts simulated workers, and knows each model's newest."""

    def __init__(self) -> None:
        """Start none yet."""
        super().__init__(BEHAVIOURS, PULSE_S)
        self.newest_of: dict[str, SimProcess] = {}

    async def start(self, model: str, folder: Path, target: str) -> SimProcess:
        """Start one."""
        self.newest_of[model] = await super().start(model, folder, target)
        return self.newest_of[model]


class Device:
    """One device, over its agent's lives; everything here runs on one loop of simulated time."""

    def __init__(self, folder: Path) -> None:
        """Have no models yet."""
        self.disk = Disk()
        self.generation = 0
        self.wished: dict[str, int] = {}
        self._folder = folder
        self._releases = {(model, number): make_release(number, model=model, size=SIZE) for model in MODELS for number in RELEASES}

    async def boot(self) -> None:
        """Start the agent on what is there."""
        parts = SmallDevice(self._folder)
        for release in self._releases.values():
            parts.source.hold(release)
        self.store = WatchedStore(self._folder, self.disk)
        self.launcher = Launcher()
        self._parts, self._incoming = parts, LimitedIncoming(self._folder / "incoming", self.disk)
        sensors, shop = CalmSensors(self._folder), parts.workshop
        downloader = Downloader((parts.source,), self._incoming, Pace(0.0, None))
        self.delivery = Delivery(
            self.store, self._incoming, Shortcut(self.store, self._incoming, downloader, PatcherProcess()), FIT, sensors
        )
        shop = Workshop(
            self.store, self.delivery, shop.engines, self.launcher, parts.diary, 30.0, probation.Limits(), sensors, Patience(silence_s=100)
        )
        await self.delivery.sweep()
        self.updaters = {model: Updater(model, shop) for model in MODELS}
        self._agent = asyncio.ensure_future(self._run())
        await asyncio.sleep(0.1)
        self._tell()

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for updater in self.updaters.values():
                tasks.start_soon(updater.run)

    async def end(self, *, in_peace: bool) -> None:
        """End the agent: in good order, or as a crash does."""
        if in_peace:
            for updater in self.updaters.values():
                await updater.leave()
        self._agent.cancel()
        await asyncio.wait([self._agent])
        error = None if self._agent.cancelled() else self._agent.exception()
        self._incoming.close()
        self._parts.close()
        assert error is None, error

    def wish(self, model: str, number: int | None) -> None:
        """Publish a new document, which wishes this of one model and of the other what was wished before."""
        self.generation += 1
        self.wished.pop(model, None)
        if number is not None:
            self.wished[model] = number
        self._tell()

    def _tell(self) -> None:
        for model, updater in self.updaters.items():
            wished = self._releases.get((model, self.wished.get(model, 0)))
            wish = None if wished is None else Wish(wished.ref, len(codec.encode(wished.manifest)))
            updater.wish(wish, self.generation)

    def rot(self, model: str) -> None:
        """Spoil a byte of the committed release's model file."""
        current = self.store.load(model).current
        file = None if current is None else self._file_of(current)
        if file is not None and file.exists():
            raw = bytearray(file.read_bytes())
            raw[0] ^= 1
            file.unlink()  # the same bytes may lie elsewhere under another name
            file.write_bytes(raw)

    def check(self) -> None:
        """Assert what holds at any time."""
        assert not self._agent.done(), "the agent died"
        for model in MODELS:
            machine = self.store.load(model)
            assert machine.generation <= self.generation
            worker = self.updaters[model].supervisor.serving
            assert worker is None or worker.installed.release.release != 5, "a release that fails its golden set serves"

    def is_whole(self, ref: ReleaseRef) -> bool:
        """Say whether every file of a release on the disk is right."""
        release = self._releases[ref.model, ref.release]
        folder = self.store.release_dir(ref.manifest_sha256)
        return folder.is_dir() and not wrong_files(folder, release.manifest, "cpu")

    def check_rest(self) -> None:
        """Assert what holds once nothing has gone wrong for long."""
        for model in MODELS:
            machine, serving = self.store.load(model), self.updaters[model].supervisor.serving
            assert machine.phase in FINAL or (machine.phase, machine.candidate) == (Phase.OFFERED, None), machine
            assert (None if serving is None else serving.installed.release) == machine.current
            wished = self.wished.get(model)
            if wished is not None and wished not in BEHAVIOURS and machine.last is not None and machine.last.release.release == wished:
                assert machine.current is None or machine.last.result is not Phase.FAILED, machine

    def check_slots(self) -> None:
        """Assert what holds after a start: damage is found by the digests that a start compares."""
        for model in MODELS:
            machine = self.store.load(model)
            for slot in (machine.current, machine.good if machine.good in (machine.current, machine.previous) else None):
                assert slot is None or self.is_whole(slot), f"{slot} is not whole"

    def _file_of(self, ref: ReleaseRef) -> Path:
        return self.store.release_dir(ref.manifest_sha256) / "artifacts/cpu/model.onnx"
