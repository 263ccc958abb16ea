"""Lives a simulated day with the real control process and faults of every kind, and prints what grew: python -m tests.sim.day FOLDER."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from agent.adapters.builder_process import BuilderProcess
from agent.adapters.command_process import CommandVerifierProcess
from agent.adapters.command_records import CommandRecords
from agent.adapters.ledger_file import LedgerFile
from agent.adapters.patcher_process import PatcherProcess
from agent.adapters.platform_facts import PlatformFacts
from agent.adapters.release_notes import ReleaseNotes
from agent.adapters.said_files import SaidFiles
from agent.adapters.sensors import Sensors
from agent.adapters.status_file import StatusFile
from agent.adapters.store import StateStore
from agent.adapters.trust_files import TrustFiles
from agent.control.answers import Answers
from agent.control.basket import Pace
from agent.control.bulletin import Bulletin, Sources
from agent.control.command_gate import CommandGate, Judging
from agent.control.commands import Commands
from agent.control.delivery import Delivery
from agent.control.downloader import Downloader
from agent.control.engines import Engines
from agent.control.inspection import Inspection
from agent.control.keeping import Keeping
from agent.control.main import Agent, Parts
from agent.control.renewal import Renewal
from agent.control.reporter import Identity, Reporter
from agent.control.shortcut import Shortcut
from agent.control.system_watch import SystemWatch
from agent.control.updater import Workshop
from agent.control.uplink import Uplink
from agent.control.wishes import Wishes
from agent.control.worker import Patience
from agent.core import probation
from agent.core.admission import Fit
from agent.core.outbox import Outbox
from agent.core.renewal import Believed, NextKey, Span
from agent.core.said import Said
from agent.core.shelf import Limits
from agent.errors import CredentialError
from contracts import codec
from contracts.agent_config import DeviceSection, RuntimeSection
from tests.sim.day_broker import BOOT, DEVICE
from tests.sim.day_workers import SimLauncher
from tests.sim.day_world import LimitedIncoming, RemoteSource, SimVerifier, World
from tests.sim.releases import Release, make_release
from tests.sim.time import SimulatedTime

HOUR_S = 3600.0
HOURS = 24
OUTBOX_BYTES = 1 << 18
KEEPALIVE_S = 15.0
BEHAVIOURS = {3: "crash", 7: "golden", 12: "crash", 17: "golden"}
# While the agent is without a link, for longer than its outbox can hold every window.
OFFLINE_FROM, OFFLINE_UNTIL = 9, 13
# Early, so that one agent lives through all the hours that are compared; in peace or not.
REBOOTS = {0: True, 1: False}


@dataclass(frozen=True)
class Measure:
    """What must not grow."""

    # All of Python's own allocations, whoever made them, and those that the collector follows.
    blocks: int
    objects: int
    resident_bytes: int
    threads: int
    tasks: int
    descriptors: int
    files: int


class NoNotifier:
    """A service manager that only watches the loop."""

    beat_interval_s: float | None = 15.0

    def ready(self) -> None:
        """Be told."""

    def beat(self) -> None:
        """Be told."""

    def stopping(self) -> None:
        """Be told."""


AUTHORITY = "a" * 64


class LastingCredentials:
    """Certificates that outlive the day."""

    async def make(self, device: str) -> NextKey:
        """Make none."""
        raise CredentialError("no need for a key", "a request for one")

    async def span(self, device: str, identity: str, authority: str) -> Span:
        """Return a long one."""
        return Span(begins=BOOT - timedelta(days=1), ends=BOOT + timedelta(days=40 * 365), authority=AUTHORITY)

    async def follow(self, believed: str, certificate: str, voucher: str) -> Believed:
        """Follow nobody."""
        raise CredentialError("one authority for the day", "another")


class AnyIdentity:
    """Files that nobody reads."""

    def identity(self) -> str:
        """Return any."""
        return "identity"

    def authority(self) -> str:
        """Return any."""
        return "authority"

    @property
    def newest_authority(self) -> str:
        """The one that signed the certificate."""
        return AUTHORITY

    @property
    def own_authority(self) -> str:
        """The same."""
        return AUTHORITY

    def believe(self, authorities: str) -> None:
        """Keep none."""

    def adopt(self, identity: str, authority: str) -> None:
        """Keep none."""


class Day:
    """One device's day."""

    def __init__(self, folder: Path, simulated: SimulatedTime) -> None:
        """Lay out a release for each hour."""
        self.world = World(folder)
        self.releases = [make_release(number, size=20_000) for number in range(1, HOURS + 1)]
        self.reboots = 0
        self._simulated = simulated
        self._chance = random.Random(24)
        self._began_s = simulated.now_s
        self.world.stick.mkdir(parents=True)
        for release in self.releases:
            _write(self.world.stick / str(release.manifest.release), release)
        self._stop = asyncio.Event()
        self._agent: asyncio.Task[None] | None = None
        self._launcher = SimLauncher({})

    async def live(self) -> dict[str, object]:
        """Live through all hours; return what was measured and heard."""
        self._boot()
        measures = {}
        for hour in range(HOURS):
            await self._live_hour(hour)
            if hour + 1 in (3, HOURS):
                measures[f"hour {hour + 1}"] = asdict(self._measure())
        await self._shut_down(in_peace=True)
        heard = self.world.broker.heard
        return {
            **measures,
            "messages": dict(heard.messages),
            "windows": heard.windows,
            "missing": heard.missing,
            "dropped": heard.dropped,
            "repeated": heard.repeated,
            "merged": heard.merged,
            "earliest": heard.earliest.isoformat(),
            "connects": self.world.broker.connects,
            "workers": self._launcher.started,
            "reboots": self.reboots,
            "release": self._release(),
        }

    async def _live_hour(self, hour: int) -> None:
        world = self.world
        if hour == OFFLINE_FROM:
            world.broker.go_down()
        if hour == OFFLINE_UNTIL:
            world.broker.come_up()
        world.broker.wish(str(hour + 1).encode())
        await asyncio.sleep(600)
        async with self._faults(hour):
            await asyncio.sleep(900)
        await asyncio.sleep(60)
        if hour in REBOOTS:
            await self._shut_down(in_peace=REBOOTS[hour])
            self._boot()
        await self._until(hour + 1)

    @asynccontextmanager
    async def _faults(self, hour: int) -> AsyncIterator[None]:
        world, worker = self.world, self._launcher.newest
        if worker is not None and hour % 2:
            worker.kill()
        elif worker is not None:
            worker.has_hung = True
        world.fill_disk(hour % 4 == 2)
        world.clock_error = timedelta(days=365 * self._chance.choice([-56, 0, 30])) if hour % 3 == 1 else timedelta()
        is_offline = OFFLINE_FROM <= hour < OFFLINE_UNTIL
        if not is_offline:
            world.broker.go_down(self._chance.choice([None, 0x8B, 0x8D]))
            await asyncio.sleep(self._chance.choice([0.1, 5.0, 120.0]))
            world.broker.refuses_with = 0x89
            world.broker.come_up()
            await asyncio.sleep(60.0)
            world.broker.refuses_with = None
        yield
        world.fill_disk(is_full=False)
        world.clock_error = timedelta()

    def _clock(self) -> datetime:
        return BOOT + timedelta(seconds=self._simulated.now_s - self._began_s) + self.world.clock_error

    def _boot(self) -> None:
        self.reboots += 1
        self._stop = asyncio.Event()
        agent = Agent()
        self._agent = asyncio.create_task(agent.run(self._parts(agent), self._stop), name=f"agent {self.reboots}")

    async def _shut_down(self, *, in_peace: bool) -> None:
        assert self._agent is not None
        if in_peace:
            self._stop.set()
        else:
            self._agent.cancel()
        await asyncio.wait([self._agent])
        self.world.files.close()

    def _parts(self, agent: Agent) -> Parts:
        world = self.world
        store, trust, sensors = StateStore(world.state), TrustFiles(world.state), Sensors(world.state)
        identity = Identity(DeviceSection(id=DEVICE, hardware="cpu"), "0", {"onnx": "1"}, sensors.machine(), f"{self.reboots:016x}")
        outbox = Outbox(world.files, Limits(OUTBOX_BYTES, 1e6), time.monotonic)
        reporter = Reporter(identity, trust.memory(), outbox, self._clock)
        said = Said(SaidFiles(world.state / "said"), time.monotonic())
        uplink = Uplink(world.broker, reporter, agent.hear, KEEPALIVE_S, said)
        incoming = LimitedIncoming(world.state / "incoming", world)
        downloader = Downloader((RemoteSource(world.stick, world.broker),), incoming, Pace(0.0, None))
        shortcut = Shortcut(store, incoming, downloader, PatcherProcess())
        delivery = Delivery(store, incoming, shortcut, Fit(("cpu",), frozenset({"onnx"})), sensors)
        notes, facts = ReleaseNotes(store.releases), PlatformFacts(world.state)
        engines = Engines(notes, facts, BuilderProcess(()), RuntimeSection())
        started, self._launcher = self._launcher.started, SimLauncher(BEHAVIOURS)
        self._launcher.started = started
        wishes = Wishes(trust, SimVerifier(self.releases), reporter, "root.json", agent.follow)
        judging = Judging(CommandVerifierProcess(), trust, LedgerFile(world.state), "root.json", wishes.turn)
        answers = Answers(CommandRecords(world.state / "answers"), reporter, uplink, self._clock)
        return Parts(
            commands=Commands(CommandGate(judging, reporter, self._clock), {}, answers),
            reporter=reporter,
            keeping=Keeping(reporter, world.files),
            uplink=uplink,
            wishes=wishes,
            renewal=Renewal(AnyIdentity(), LastingCredentials(), uplink, reporter, self._clock),
            workshop=Workshop(store, delivery, engines, self._launcher, reporter, 30.0, probation.Limits(), sensors, Patience()),
            inspection=Inspection(store, delivery, reporter),
            sensors=sensors,
            system_watch=SystemWatch(facts, reporter, HOUR_S),
            notifier=NoNotifier(),
            bulletin=Bulletin(Sources(reporter, uplink, "broker"), StatusFile(world.state), 10.0),
            health_interval_s=10.0,
        )

    async def _until(self, hour: int) -> None:
        await asyncio.sleep(max(0.0, self._began_s + hour * HOUR_S - self._simulated.now_s))

    def _measure(self) -> Measure:
        gc.collect()
        return Measure(
            blocks=sys.getallocatedblocks(),
            objects=len(gc.get_objects()),
            resident_bytes=psutil.Process().memory_info().rss,
            threads=threading.active_count(),
            tasks=len(asyncio.all_tasks()),
            descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
            files=sum(path.is_file() for path in self.world.state.rglob("*")),
        )

    def _release(self) -> int:
        current = StateStore(self.world.state).load("digits").current
        return 0 if current is None else current.release


def _write(folder: Path, release: Release) -> None:
    for name, raw in {"manifest.json": codec.encode(release.manifest), **release.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)


async def _live(folder: Path, simulated: SimulatedTime) -> dict[str, object]:
    return await Day(folder, simulated).live()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    the_time = SimulatedTime()
    sys.stdout.write(json.dumps(the_time.run(_live(Path(sys.argv[1]), the_time))) + "\n")
