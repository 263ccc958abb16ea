"""Follows one worker process from its start to its end, and ends it when it hangs, floods its link or takes too much."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from agent.control.delivery import Installed
from agent.control.ports.workers import Process
from agent.core.allowance import Allowance
from agent.core.growth import MIB, Sample, is_last_straw, tiredness
from agent.errors import GoldenSetError, WorkerError
from agent.worker_link import (
    Compared,
    Drain,
    Failed,
    Prove,
    Proven,
    Pulse,
    Ready,
    Reflect,
    Rest,
    Serve,
    Serving,
    Shadow,
    Snapshot,
    SnapshotTaken,
    Window,
    WorkerLine,
)
from contracts.messages import InferenceWindow
from contracts.shadow import ShadowPart

# A pulse a second and a window now and then: whoever says so much more has gone mad.
MAX_LINES_AT_ONCE, MAX_LINES_PER_S = 500, 100.0
# An accelerator that is hot, shared or swapped out is slower than in the golden test, but not by so much.
SLOWEST_TIMES = 20.0
MEMORY_INTERVAL_S, MAX_SAMPLES = 10.0, 60
UNKNOWN = 1 << 62


@dataclass(frozen=True)
class Patience:
    """How long a worker may take, and how much; `ready_s` leaves room for building an accelerator's engine."""

    ready_s: float = 1200.0
    serving_s: float = 10.0
    silence_s: float = 10.0
    # Until it is ready: an import or a compiler may keep the interpreter's lock for long.
    starting_silence_s: float = 120.0
    drain_s: float = 10.0
    # A killed process is gone in no time, unless a driver holds it in the kernel.
    killed_s: float = 5.0
    # One call of the runtime; a model that is slower in its golden test is given more.
    inference_s: float = 10.0
    # Resident memory beyond which it is replaced in good order.
    memory_bytes: int = UNKNOWN
    # How long nobody may serve for the sake of a proof on an accelerator that one process alone can hold; 0 for never.
    pause_s: float = 0.0


@dataclass(frozen=True)
class Ears:
    """Who is told of what a worker says."""

    on_window: Callable[[InferenceWindow], None]
    on_pulse: Callable[[Worker], None]
    on_compared: Callable[[ShadowPart], None]


class Worker:
    """One process; `run` must be running for all else to work."""

    def __init__(self, installed: Installed, process: Process, patience: Patience, ears: Ears) -> None:
        """Follow a process that was started on `installed`."""
        self.installed = installed
        self.pid = process.pid
        self.ready: Ready | None = None
        self.pulse: Pulse | None = None
        self.end_reason = ""
        self.has_ended = False
        self.is_serving = False
        # Why it should be replaced, while it still serves.
        self.tiredness = ""
        # From its start until it was ready.
        self.came_up_s = 0.0
        self._began_s = time.monotonic()
        self._process = process
        self._patience = patience
        self._ears = ears
        self._proven: Proven | None = None
        # The newest one, by its id.
        self._pictures: dict[str, SnapshotTaken] = {}
        self._allowance = Allowance(MAX_LINES_AT_ONCE, MAX_LINES_PER_S)
        self._memory: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Read the link until the process has ended; never leave it behind."""
        try:
            await self._listen()
            with anyio.move_on_after(self._patience.serving_s):
                self._end(await self._process.wait())
        finally:
            self._process.kill()
            with anyio.move_on_after(self._patience.killed_s, shield=True):
                self._end(await self._process.wait())
            if not self.has_ended:
                self._end("SIGKILL in vain: a driver holds it in the kernel")

    async def until_ready(self) -> Ready:
        """Wait for the golden test's result; raise WorkerError."""
        await self._until(lambda: self.ready is not None, self._patience.ready_s, "be ready")
        assert self.ready is not None
        return self.ready

    async def serve(self) -> None:
        """Let it accept connections; raise WorkerError."""
        await self._process.send(Serve())
        await self._until(lambda: self.is_serving, self._patience.serving_s, "serve")

    async def say(self, line: Reflect | Shadow | Rest) -> None:
        """Tell it of a shadow, its own or another's; raise WorkerError."""
        await self._process.send(line)

    async def come_up(self, provider: str = "") -> None:
        """Wait until it is proved, on `provider` if one is named, and let it serve; raise WorkerError."""
        ready = await self.until_ready()
        if not ready.golden_passed:
            raise WorkerError(f"golden set: {ready.reason}")
        if provider not in ("", ready.provider):
            raise WorkerError(f"provider: expected {provider}, found {ready.provider}")
        await self.serve()

    async def prove(self) -> None:
        """Have it run its golden set once more; raise WorkerError, or GoldenSetError when it computes something else now."""
        await self._process.send(Prove())
        await self._until(lambda: self._proven is not None, self._patience.ready_s, "run its golden set")
        proven, self._proven = self._proven, None
        assert self.ready is not None
        assert proven is not None
        if not proven.passed:
            raise GoldenSetError(self.ready.golden_error, self.ready.golden_tolerance, proven.reason)

    async def take_picture(self, name: str, file: str, max_bytes: int) -> None:
        """Have it put its newest frame at `file`; raise WorkerError, which says so where it has no source of frames."""
        await self._process.send(Snapshot(id=name, file=file, max_bytes=max_bytes))
        await self._hear_until(lambda: name in self._pictures, self._patience.serving_s)
        taken = self._pictures.pop(name, None)
        if taken is None:
            raise WorkerError(f"snapshot: expected a picture within {self._patience.serving_s:g} s, found none")
        if taken.file != file:
            raise WorkerError(f"snapshot: {taken.reason or 'expected a picture, found none'}")

    async def drain(self) -> None:
        """Let it finish what is under way and leave; end it when it does not."""
        try:
            await self._process.send(Drain(deadline_s=self._patience.drain_s))
            with anyio.move_on_after(self._patience.drain_s + 1):
                await self._ended.wait()
        except WorkerError:
            pass  # it is on its way out already
        finally:
            self._process.kill()

    async def end(self) -> None:
        """Drain it, and wait until its process is gone and holds nothing any more."""
        await self.drain()
        with anyio.move_on_after(self._patience.killed_s):
            await self._ended.wait()

    @property
    def is_exclusive(self) -> bool:
        """Say whether it holds an accelerator that no other process can use meanwhile."""
        return self.ready is not None and self.ready.is_exclusive and not self.has_ended

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def condemn(self, reason: str) -> None:
        """End it at once, and say why."""
        self.end_reason = self.end_reason or reason
        self._process.kill()

    async def _listen(self) -> None:
        while not self.end_reason:
            silence_s = self._patience.starting_silence_s if self.ready is None else self._patience.silence_s
            try:
                line = await asyncio.wait_for(self._process.receive(), silence_s)
            except asyncio.TimeoutError:
                self.condemn(f"it hung: no sign of life in {silence_s:g} s")
                return
            except WorkerError as error:
                self.condemn(str(error))
                return
            if line is None:
                return
            if not self._allowance.takes(time.monotonic()):
                self.condemn(f"it flooded its link: more than {MAX_LINES_PER_S:g} lines a second")
                return
            self._hear(line)
            self._news.set()

    def _hear(self, line: WorkerLine) -> None:
        match line:
            case Ready():
                self.ready, self.came_up_s = line, time.monotonic() - self._began_s
            case Failed(reason=reason):
                self.end_reason = reason or "it failed without a word"
            case Serving():
                self.is_serving = True
            case Pulse():
                self._feel(line)
            case SnapshotTaken():
                self._pictures = {line.id: line}
            case Proven():
                self._proven = line
            case Window(window=window):
                self._ears.on_window(window)
            case Compared(part=part):
                self._ears.on_compared(part)

    def _feel(self, pulse: Pulse) -> None:
        """Judge how the worker is."""
        self.pulse = pulse
        now_s, bound = time.monotonic(), self._patience.memory_bytes
        if self.ready is not None and pulse.inference_age_s > (deadline_s := self._inference_deadline_s(self.ready)):
            self.condemn(f"it hung: an inference took longer than {deadline_s:g} s")
            return
        if is_last_straw(pulse.rss_bytes, bound):
            self.condemn(f"memory: expected at most {bound // MIB} MiB, found {pulse.rss_bytes // MIB} MiB")
            return
        if not self._memory or now_s - self._memory[-1].at_s >= MEMORY_INTERVAL_S or pulse.rss_bytes > bound:
            self._memory.append(Sample(now_s, pulse.rss_bytes))
            self.tiredness = tiredness(self._memory, bound)
        self._ears.on_pulse(self)

    def _inference_deadline_s(self, ready: Ready) -> float:
        return max(self._patience.inference_s, SLOWEST_TIMES * ready.inference_s)

    async def _hear_until(self, is_so: Callable[[], bool], deadline_s: float) -> None:
        with anyio.move_on_after(deadline_s):
            while not is_so() and not self.has_ended:
                self._news.clear()
                await self._news.wait()
        if self.has_ended:
            raise WorkerError(self.end_reason)

    async def _until(self, is_so: Callable[[], bool], deadline_s: float, deed: str) -> None:
        await self._hear_until(is_so, deadline_s)
        if not is_so():
            self.condemn(f"it did not {deed} in {deadline_s:g} s")
            raise WorkerError(self.end_reason)

    def _end(self, how: str) -> None:
        self.end_reason = self.end_reason or f"it ended with {how}"
        self.has_ended = True
        self._news.set()
        self._ended.set()
