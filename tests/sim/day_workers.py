"""The workers of a simulated day: they serve, crash and hang, and take no process for it."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

from agent.errors import WorkerError
from agent.worker_link import Line, Prove, Proven, Pulse, Ready, Serve, Serving, Window, WorkerLine
from contracts.manifest import decode_manifest
from contracts.messages import ReleaseRef
from tests.sim.shelf import window

PULSE_S = 5.0


class SimProcess:
    """A worker that serves ten requests a second."""

    def __init__(self, pid: int, release: ReleaseRef, behaviour: str, pulse_s: float = PULSE_S) -> None:
        """Start on a release."""
        self._pulse_s = pulse_s
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
        """Serve, prove once more what was proven, or leave."""
        if self._ended.is_set():
            raise WorkerError("its link is closed")
        if isinstance(line, Serve):
            self._lines.append(Serving())
            self._is_serving = True
            self._heard.set()
            if self._behaviour == "crash":
                self.kill()
        elif isinstance(line, Prove):
            self._lines.append(Proven(passed=True))
            self._heard.set()
        else:
            self.kill()

    async def receive(self) -> WorkerLine | None:
        """Say what a worker says."""
        while not self._ended.is_set():
            if self._lines:
                return self._lines.popleft()
            self._heard.clear()
            try:
                await asyncio.wait_for(self._heard.wait(), self._pulse_s)
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

    def __init__(self, behaviours: dict[int, str], pulse_s: float = PULSE_S) -> None:
        """Behave well unless told otherwise, by release."""
        self._pulse_s = pulse_s
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
        self.newest = SimProcess(100_000 + self.started, release, self._behaviours.get(manifest.release, "good"), self._pulse_s)
        return self.newest


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
