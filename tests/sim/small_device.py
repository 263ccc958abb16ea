"""A device without network and runtime: the agent's real updater, state, downloads and trust files, over releases from thin air.

    python -m tests.sim.small_device STATE LAST

brings one release after the other onto a device, up to LAST, every other one by way of the shadow, and prints each report that it makes
of itself as it makes it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

import anyio

from agent.adapters.builder_process import BuilderProcess
from agent.adapters.incoming import Incoming
from agent.adapters.outbox_files import OutboxFiles
from agent.adapters.patcher_process import PatcherProcess
from agent.adapters.platform_facts import PlatformFacts
from agent.adapters.release_notes import ReleaseNotes
from agent.adapters.sensors import Sensors
from agent.adapters.store import StateStore
from agent.adapters.trust_files import TrustFiles
from agent.control.basket import Pace
from agent.control.delivery import Delivery
from agent.control.downloader import Downloader
from agent.control.engines import Engines
from agent.control.inspection import Inspection
from agent.control.reporter import Identity, Reporter
from agent.control.shortcut import Shortcut
from agent.control.updater import Updater, Workshop
from agent.control.wishes import Wish
from agent.control.worker import Patience
from agent.core import probation
from agent.core.admission import Fit
from agent.core.basket import Basket
from agent.core.memory import Memory
from agent.core.outbox import Outbox
from agent.core.pieces import Piece
from agent.core.retention import Retention
from agent.core.shelf import Limits
from agent.core.update import Update
from agent.errors import SourceFailedError
from agent.worker_link import Line, Prove, Proven, Ready, Reflect, Rest, Serve, Serving, Shadow, WorkerLine
from contracts import codec
from contracts.agent_config import DeviceSection, RuntimeSection
from contracts.bundle import MANIFEST
from contracts.chunks import CHUNK_BYTES
from contracts.lifecycle import FINAL, Phase
from contracts.manifest import Manifest, decode_manifest
from contracts.messages import Machine, ModelReport
from contracts.shadow import ShadowTerms
from tests.sim.releases import Release, make_release

MODEL = "digits"
RELEASE_BYTES = 400_000
PATIENCE = Patience(ready_s=120, serving_s=120, silence_s=600, drain_s=5)
FIT = Fit(("cpu",), frozenset({"onnx"}))
MACHINE = Machine(architecture="any", system="any", python="any", cpu_count=1, memory_bytes=1, disk_bytes=1)
DEADLINE_S = 150.0
_WAY = (Phase.FETCHING, Phase.STAGING, Phase.TESTING, Phase.SHADOW, Phase.SWITCHING, Phase.PROBATION)
_RANK = {phase: rank for rank, phase in enumerate(_WAY)}
COMMITTED = len(_WAY)
TERMS = ShadowTerms(share=1.0)
# So that a cut may well find it there.
SHADOW_S = 0.05

# How far a device has come: the release it is about, and how far that is; only ever grows while all goes well.
Place: TypeAlias = tuple[int, int]


@cache
def release_of(number: int) -> Release:
    """Return a release; all have the same golden inputs, and each a model of its own."""
    return make_release(number, model=MODEL, size=RELEASE_BYTES)


def place_of(stand: Update | ModelReport) -> Place:
    """Return how far an update has come."""
    if stand.candidate is not None:
        return stand.candidate.release, _RANK.get(stand.phase, 0)
    return (0, 0) if stand.current is None else (stand.current.release, COMMITTED)


class ThinAir:
    """A source of every release that was ever thought of."""

    name = "thin air"

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def hold(self, release: Release) -> None:
        """Have a release to give."""
        for raw in (codec.encode(release.manifest), *release.files.values()):
            self.files[codec.sha256_of(raw)] = raw

    async def fill(self, basket: Basket, _bases: tuple[str, ...]) -> None:
        """Bring what is missing."""
        self.asked.append(basket.wanted.digest)
        raw = self.files.get(basket.wanted.digest)
        if raw is None:
            raise SourceFailedError(f"{basket.wanted.digest}: nobody thought of it")
        for index in list(basket.missing):
            await basket.put([Piece(index, raw[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])])

    async def rest(self) -> None:
        """Hold on."""


@dataclass
class NoProcess:
    """A worker within the test's own process: it passes when every file of its release is right, and serves."""

    launcher: NoLauncher
    release: int
    pid: int = field(default_factory=os.getpid)
    lines: asyncio.Queue[WorkerLine | None] = field(default_factory=asyncio.Queue)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, line: Line) -> None:
        """Serve, prove once more what was proven before, or leave."""
        match line:
            case Serve():
                self.launcher.served.append(self.release)
                self.launcher.is_serving.set()
                self.lines.put_nowait(Serving())
            case Prove():
                self.lines.put_nowait(Proven(passed=True))
            case Reflect() | Shadow() | Rest():
                pass  # nobody asks, so there is nothing to show and nothing to compare
            case _:
                self.kill()

    async def receive(self) -> WorkerLine | None:
        """Say the next thing."""
        return await self.lines.get()

    async def wait(self) -> str:
        """Say how it ended."""
        await self.ended.wait()
        return "exit status 0"

    def kill(self) -> None:
        """End."""
        self.ended.set()
        self.lines.put_nowait(None)


class NoLauncher:
    """Starts such workers, and remembers which releases served, and which were torn."""

    def __init__(self) -> None:
        """Nothing served yet."""
        self.served: list[int] = []
        self.torn: list[int] = []
        self.is_serving = asyncio.Event()

    def endpoint(self, _model: str) -> str:
        """Nobody can call."""
        return ""

    async def start(self, _model: str, folder: Path, target: str) -> NoProcess:
        """Start one."""
        manifest = decode_manifest((folder / MANIFEST).read_bytes())
        wrong = wrong_files(folder, manifest, target)
        if wrong:
            self.torn.append(manifest.release)
        worker = NoProcess(self, manifest.release)
        ready = Ready(
            runtime="none",
            runtime_version="1",
            provider="none",
            preferred_provider="none",
            load_s=0.0,
            golden_passed=not wrong,
            golden_samples=1,
            golden_error=0.0,
            golden_tolerance=0.1,
            reason=", ".join(wrong),
        )
        worker.lines.put_nowait(ready)
        return worker


def wrong_files(folder: Path, manifest: Manifest, target: str) -> list[str]:
    """Return which files are not what the manifest says."""
    return [path for path in manifest.paths_for(target) if codec.sha256_of((folder / path).read_bytes()) != manifest.files[path].sha256]


class Diary(Reporter):
    """A reporter whose reports can be waited for, and are printed."""

    def __init__(self, identity: Identity, memory: Memory, outbox: Outbox, *, is_loud: bool) -> None:
        """Nothing was reported yet."""
        super().__init__(identity, memory, outbox)
        self.texts: list[str] = []
        self.news = asyncio.Event()
        self._is_loud = is_loud

    def report_model(self, model: str, report: ModelReport) -> None:
        """Note and print it."""
        super().report_model(model, report)
        self.say(place=place_of(report), previous=None if report.previous is None else report.previous.release)
        self.news.set()

    def event(self, *arguments: object, **facts: object) -> None:
        """Note its text."""
        super().event(*arguments, **facts)  # type: ignore[arg-type]  # passed on as they came
        self.texts.append(str(arguments[2]))

    def say(self, **fields: object) -> None:
        """Print a line."""
        if self._is_loud:
            sys.stdout.write(json.dumps(fields) + "\n")
            sys.stdout.flush()


class SmallDevice:
    """Everything an agent has on its disk, and who works with it."""

    def __init__(self, state: Path, *, is_loud: bool = False, retention: Retention | None = None) -> None:
        """Open, or make, the state; this is what an agent does first."""
        self.store = StateStore(state, retention)
        self.trust = TrustFiles(state)
        self.incoming = Incoming(state / "incoming")
        self.launcher = NoLauncher()
        self.source = ThinAir()
        self._outbox_files = OutboxFiles(state / "outbox")
        outbox = Outbox(self._outbox_files, Limits(1 << 20, 3600.0), time.monotonic)
        section = DeviceSection(id="pi-1", hardware="cpu")
        self.diary = Diary(Identity(section, "0", {}, MACHINE, "0" * 16), self.trust.memory(), outbox, is_loud=is_loud)
        downloader = Downloader((self.source,), self.incoming, Pace(0.0, None))
        shortcut = Shortcut(self.store, self.incoming, downloader, PatcherProcess())
        sensors = Sensors(state)
        self.delivery = Delivery(self.store, self.incoming, shortcut, FIT, sensors, look_again_s=0.05)
        engines = Engines(ReleaseNotes(self.store.releases), PlatformFacts(state), BuilderProcess(()), RuntimeSection())
        self.workshop = Workshop(self.store, self.delivery, engines, self.launcher, self.diary, 0.01, probation.Limits(), sensors, PATIENCE)
        self.inspection = Inspection(self.store, self.delivery, self.diary, settle_s=0.0)
        self.updater: Updater

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run as an agent does, for as long as the block lasts."""
        await self.delivery.sweep()
        self.updater = Updater(MODEL, self.workshop)
        self.updater.report()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.updater.run)
                yield
                await self.updater.leave()
                tasks.cancel_scope.cancel()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the files."""
        self.incoming.close()
        self._outbox_files.close()

    async def wish(self, number: int) -> ModelReport:
        """Hear a wish as it is heard after its verification, and return the report of what became of it."""
        await self._hear(number, None)
        return await self.until(lambda report: is_over(report, number))

    async def shadow(self, number: int) -> ModelReport:
        """Hear that a release shall run beside what serves, and return the report that it does, or of what became of it."""
        await self._hear(number, TERMS)
        return await self.until(lambda report: self.is_shadow(number) or is_over(report, number))

    def is_shadow(self, number: int) -> bool:
        """Say whether a release runs beside what serves."""
        report, candidate = self.diary.models.get(MODEL), self.updater.supervisor.candidate
        is_there = candidate is not None and candidate.installed.release.release == number
        return is_there and report is not None and report.phase is Phase.SHADOW

    async def _hear(self, number: int, terms: ShadowTerms | None) -> None:
        release = release_of(number)
        self.source.hold(release)
        await anyio.to_thread.run_sync(self.trust.put_envelope, b"wish %d" % number)
        await anyio.to_thread.run_sync(self.trust.remember, Memory(generation=number))
        self.diary.say(generation=number)
        self.updater.wish(Wish(release.ref, len(codec.encode(release.manifest)), shadow=terms), number)

    async def until(self, is_so: object) -> ModelReport:
        """Return the first report that is so."""
        assert callable(is_so)
        with anyio.fail_after(DEADLINE_S):
            while True:
                self.diary.news.clear()
                report = self.diary.models.get(MODEL)
                if report is not None and is_so(report):
                    return report
                await self.diary.news.wait()

    async def until_tidy(self) -> None:
        """Wait until what the end of an update leaves to do, beside its report, is done."""
        with anyio.fail_after(DEADLINE_S):
            while any(self.incoming.path("any").parent.iterdir()):  # noqa: ASYNC110 - a folder tells nobody
                await anyio.sleep(0.005)

    async def until_served(self) -> int:
        """Return the release that serves first."""
        with anyio.fail_after(DEADLINE_S):
            await self.launcher.is_serving.wait()
        return self.launcher.served[0]


def is_over(report: ModelReport, number: int) -> bool:
    """Say whether a report tells what became of a release."""
    ref = release_of(number).ref
    about = report.current if report.last is None or report.current == ref else report.last.release
    return report.phase in FINAL and about == ref


async def live(state: Path, last: int) -> None:
    """Bring one release after the other onto a device, beginning with what was under way when it ended."""
    device = SmallDevice(state, is_loud=True)
    machine = device.store.load(MODEL)
    newest = machine.candidate or machine.current
    first = 1 if newest is None else newest.release
    device.source.hold(release_of(first))
    async with device.running():
        for number in range(first, last + 1):
            if number % 2 == 0 and number > first:
                assert (await device.shadow(number)).phase is Phase.SHADOW
                await anyio.sleep(SHADOW_S)
            report = await device.wish(number)
            assert report.phase is Phase.COMMITTED, report


if __name__ == "__main__":
    anyio.run(live, Path(sys.argv[1]), int(sys.argv[2]))
