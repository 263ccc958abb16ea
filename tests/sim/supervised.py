"""A supervisor with real worker processes, without an agent around it: what they did is kept for tests to look at."""

from __future__ import annotations

import asyncio
import http.client
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from agent.adapters.processes import Terms, WorkerLauncher
from agent.adapters.store import StateStore
from agent.control.delivery import Installed
from agent.control.supervisor import Supervisor
from agent.control.voice import Listener
from agent.control.worker import Patience
from agent.core.alarm import Alarm
from agent.core.growth import MIB
from contracts.agent_config import RuntimeSection
from contracts.bundle import write_bundle
from contracts.messages import InferenceWindow, ReleaseRef
from contracts.source_config import SourceSection
from tests.live.ports import free_port
from tests.sim.releases import make_release

MODEL = "digits"
# What a hung worker is known by is short; a start takes as long as a busy machine makes it.
PATIENCE = Patience(
    ready_s=200, serving_s=3, silence_s=2, starting_silence_s=200, drain_s=10, killed_s=10, inference_s=5, memory_bytes=100 * MIB
)
WAIT_S = 300.0


@dataclass
class Watched:
    """One model under supervision."""

    supervisor: Supervisor
    launcher: WorkerLauncher
    store: StateStore
    crashes: list[str] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    windows: list[InferenceWindow] = field(default_factory=list)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is true."""
        with anyio.fail_after(WAIT_S):
            while not is_so():  # noqa: ASYNC110 - what workers do sets no event of ours
                await asyncio.sleep(0.02)

    async def until_it_serves(self) -> None:
        """Wait for the next worker that serves."""
        await self.until(lambda: self.supervisor.state == "serving")

    def ask(self, method: str = "GET", path: str = "/", body: str = "") -> tuple[int, str]:
        """Ask the model once, from another thread."""
        port = int(self.launcher.endpoint(self.supervisor.model).rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.store.token_file().read_text().strip()}"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def stand_in(behaviours: str) -> tuple[str, ...]:
    """Return the command of stand-in workers; all of them serve release 1."""
    return (sys.executable, "-m", "tests.sim.worker", f'{{"1": "{behaviours}"}}')


def installed_stand_in(folder: Path) -> Installed:
    """Return a release of no real model, unpacked."""
    release = make_release(1, size=100)
    write_bundle(folder, release.manifest, release.files)
    return Installed(release.ref, folder, "cpu")


@asynccontextmanager
async def supervised(
    folder: Path, command: tuple[str, ...], model: str = MODEL, patience: Patience = PATIENCE, source: SourceSection | None = None
) -> AsyncIterator[Watched]:
    """Run a supervisor, of workers that may have a camera; when it ends no worker is left."""
    store = StateStore(folder / "state")
    sources = {} if source is None else {model: source}
    launcher = WorkerLauncher(command, store, "127.0.0.1", free_port(), Terms(0.2, patience.memory_bytes, RuntimeSection(), sources))
    crashes, alarms, windows = list[str](), list[Alarm](), list[InferenceWindow]()

    def hear_alarm(_release: ReleaseRef, alarm: Alarm) -> None:
        alarms.append(alarm)

    listener = Listener(lambda _release, reason: crashes.append(reason), hear_alarm, windows.append, lambda: None)
    supervisor = Supervisor(model, launcher, listener, patience)
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(supervisor.run)
            yield Watched(supervisor, launcher, store, crashes, alarms, windows)
            tasks.cancel_scope.cancel()
    finally:
        launcher.close()
