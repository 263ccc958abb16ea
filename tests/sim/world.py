"""What surrounds an agent in a simulated day: a broker, workers, a verifier and a clock, all of which fail when told to."""

from __future__ import annotations

import asyncio
import errno
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import anyio

from agent.adapters.folder_source import FolderSource
from agent.adapters.incoming import Incoming
from agent.core.basket import Basket
from agent.core.clock_floor import Floor
from agent.core.memory import Memory
from agent.core.verdict import Question, Verdict, Verified
from agent.errors import LinkLostError, SourceAwayError, WorkerError
from agent.worker_link import Line, Pulse, Ready, Serve, Serving, Window, WorkerLine
from contracts import codec
from contracts.chunks import Bitmap
from contracts.manifest import decode_manifest
from contracts.messages import Desired, InferenceWindow, ReleaseRef
from contracts.topics import of_device
from tests.sim.fleet import Release
from tests.sim.shelf import FaultyFiles, window

DEVICE = "pi-1"
BOOT = datetime(2026, 11, 21, tzinfo=timezone.utc)
LATER = BOOT + timedelta(days=36_500)
LATENCY_S = 0.05
PULSE_S = 5.0


@dataclass
class Heard:
    """What the fleet heard, in numbers that do not grow with the day."""

    messages: Counter[str] = field(default_factory=Counter)
    windows: int = 0
    missing: int = 0
    repeated: int = 0
    dropped: int = 0
    merged: int = 0
    earliest: datetime = LATER
    # The newest window of each session.
    ordinals: dict[str, int] = field(default_factory=dict)

    def hear(self, leaf: str, payload: bytes) -> None:
        """Take a message."""
        self.messages[leaf] += 1
        if leaf == "event" and b'"dropped_windows"' in payload:
            self.dropped += int(json.loads(payload)["facts"]["dropped_windows"])
        if leaf != "inference":
            return
        one = InferenceWindow.model_validate_json(payload)
        assert one.ordinal is not None
        self.earliest = min(self.earliest, one.sent_at)
        last, parts = self.ordinals.get(one.session, 0), one.parts or 1
        if one.ordinal <= last:
            self.repeated += 1
            return
        self.merged += parts > 1
        self.windows += parts
        self.missing += one.ordinal - parts - last
        self.ordinals[one.session] = one.ordinal


class SimConnection:
    """One connection, until it is lost."""

    def __init__(self, broker: SimBroker) -> None:
        """Connect to `broker`."""
        self._broker = broker
        self._inbox: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(maxsize=64)
        self.loss: LinkLostError | None = None

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Take a message, which arrives although its acknowledgement may be lost."""
        self._check()
        if qos:
            self._broker.heard.hear(topic.rpartition("/")[2], payload)
            await asyncio.sleep(LATENCY_S)
            self._check()

    async def subscribe(self, *filters: str) -> None:
        """Send what is retained."""
        await asyncio.sleep(LATENCY_S)
        self._check()
        self.tell(self._broker.desired)

    def unsubscribe(self, *filters: str) -> None:
        """Send no more of these."""

    async def receive(self) -> list[tuple[str, bytes]]:
        """Wait for a message."""
        message = await self._inbox.get()
        self._check()
        assert message is not None
        return [message]

    def tell(self, desired: bytes) -> None:
        """Send a wish."""
        if not self._inbox.full():
            self._inbox.put_nowait((of_device(DEVICE, "desired"), desired))

    def lose(self, loss: LinkLostError) -> None:
        """Be cut off."""
        self.loss = loss
        if not self._inbox.full():
            self._inbox.put_nowait(None)

    def _check(self) -> None:
        if self.loss is not None:
            raise self.loss


class SimBroker:
    """A broker that takes the device's one connection."""

    def __init__(self) -> None:
        """Be up, and have heard nothing."""
        self.heard = Heard()
        self.desired = b"1"
        self.connects = 0
        self.refuses_with: int | None = None
        self._is_up = True
        self._connection: SimConnection | None = None

    @property
    def is_up(self) -> bool:
        """Say whether it can be reached."""
        return self._is_up

    @asynccontextmanager
    async def connect(self, will_topic: str, will: bytes) -> AsyncIterator[SimConnection]:
        """Connect, or refuse."""
        await asyncio.sleep(LATENCY_S)
        if not self._is_up or self.refuses_with is not None:
            raise LinkLostError("simulated", "no answer" if not self._is_up else "a refusal", self.refuses_with)
        self.connects += 1
        self._connection = SimConnection(self)
        try:
            yield self._connection
        finally:
            self._connection = None

    def go_down(self, reason_code: int | None = None) -> None:
        """Cut the connection, and answer no more."""
        self._is_up = False
        if self._connection is not None:
            self._connection.lose(LinkLostError("simulated", "the end", reason_code))

    def come_up(self) -> None:
        """Answer again."""
        self._is_up = True

    def wish(self, desired: bytes) -> None:
        """Retain a wish, and send it."""
        self.desired = desired
        if self._connection is not None:
            self._connection.tell(desired)


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


class SimProcess:
    """A worker that serves ten requests a second."""

    def __init__(self, pid: int, release: ReleaseRef, behaviour: str) -> None:
        """Start on a release."""
        self.pid = pid
        self.has_hung = False
        self._release = release
        self._behaviour = behaviour
        self._lines: deque[WorkerLine] = deque()
        self._ticks = 0
        self._is_serving = self._is_ready = False
        self._heard = asyncio.Event()
        self._ended = asyncio.Event()

    async def send(self, line: Line) -> None:
        """Serve, or leave."""
        if self._ended.is_set():
            raise WorkerError("its link is closed")
        if isinstance(line, Serve):
            self._lines.append(Serving())
            self._is_serving = True
            self._heard.set()
            if self._behaviour == "crash":
                self.kill()
        else:
            self.kill()

    async def receive(self) -> WorkerLine | None:
        """Say what a worker says."""
        while not self._ended.is_set():
            if self._lines:
                return self._lines.popleft()
            self._heard.clear()
            try:
                await asyncio.wait_for(self._heard.wait(), PULSE_S)
            except asyncio.TimeoutError:
                self._tick()
        return None

    async def wait(self) -> str:
        """Wait for its end."""
        await self._ended.wait()
        return "signal 9"

    def kill(self) -> None:
        """End it."""
        self._ended.set()
        self._heard.set()

    def _tick(self) -> None:
        if self.has_hung:
            return
        if not self._is_ready:
            self._is_ready = True
            self._lines.append(_ready(passed=self._behaviour != "golden"))
        elif self._is_serving:
            self._ticks += 1
            self._lines.append(Pulse(requests=50 * self._ticks, errors=0, in_flight=0))
            if self._ticks % 2 == 0:
                one = window(self._ticks)
                self._lines.append(Window(window=one.model_copy(update={"release": self._release, "ordinal": None})))


class SimLauncher:
    """Starts workers that behave as their release is said to."""

    def __init__(self, behaviours: dict[int, str]) -> None:
        """Behave well unless told otherwise, by release."""
        self._behaviours = behaviours
        self.started = 0
        self.newest: SimProcess | None = None

    def endpoint(self, model: str) -> str:
        """Return nothing that anybody would call."""
        return "" if self.newest is None else "http://127.0.0.1:8600"

    async def start(self, model: str, folder: Path, target: str) -> SimProcess:
        """Start one."""
        manifest = decode_manifest((folder / "manifest.json").read_bytes())
        release = ReleaseRef(model=manifest.name, release=manifest.release, manifest_sha256=manifest.sha256)
        self.started += 1
        self.newest = SimProcess(100_000 + self.started, release, self._behaviours.get(manifest.release, "good"))
        return self.newest


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


def _ready(*, passed: bool) -> Ready:
    return Ready(
        runtime="simulated",
        runtime_version="1",
        provider="none",
        preferred_provider="none",
        load_s=0.1,
        golden_passed=passed,
        golden_samples=1,
        golden_error=0.0 if passed else 0.5,
        golden_tolerance=0.1,
    )
