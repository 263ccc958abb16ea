"""A real broker, a small fleet on it, and agents as processes of their own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.live.mosquitto import Mosquitto
from tests.live.ports import free_port
from tests.sim.fleet import SimFleet
from tests.sim.provisioned import write_device

DEVICE = "pi-1"
STOP_S = 60
ASK_S = 120
ROOT = Path(__file__).parents[2]


@dataclass
class AgentProcess:
    """One device's agent; it may be started again in the same folder."""

    config: Path
    serve_port: int
    # What the stand-in worker does for which release; None runs the real command with the real worker.
    behaviours: dict[str, str] | None = field(default_factory=dict)
    # What the stand-in builder does, and where it and the agent find the system's files.
    building: dict[str, object] = field(default_factory=dict)
    system: Path = Path("/")
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        """Its state folder."""
        return self.config.parent / "state"

    def start(self) -> None:
        """Start it; its log is appended beside its configuration."""
        command = [sys.executable, "-m"]
        if self.behaviours is None:
            command += ["cli", "agent", "run", "--config", str(self.config)]
        else:
            command += ["tests.sim.agent_process", str(self.config), json.dumps(self.behaviours)]
            command += [json.dumps(self.building), str(self.system)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.config.parent / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def stop(self) -> int:
        """Ask it to leave; return its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)

    def signal(self, number: signal.Signals) -> None:
        """Send its control process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def children(self, module: str) -> list[psutil.Process]:
        """Return those of its processes that run a module: others come and go meanwhile."""
        assert self.process is not None
        return [child for child in psutil.Process(self.process.pid).children() if _runs(child, module)]

    def who_serves(self) -> str:
        """Ask the model's API which release answers; an empty answer while nobody listens yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.serve_port, timeout=ASK_S)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            return ""
        finally:
            connection.close()

    def log(self) -> str:
        """Return all it logged."""
        return (self.config.parent / "agent.log").read_text()


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running_broker(folder: Path) -> Iterator[Mosquitto]:
    """A broker that knows everybody by his certificate."""
    mosquitto = Mosquitto(folder / "broker")
    mosquitto.start()
    try:
        yield mosquitto
    finally:
        mosquitto.stop()


@contextmanager
def listening_fleet(broker: Mosquitto) -> Iterator[SimFleet]:
    """The fleet's side."""
    sim = SimFleet(broker.port)
    sim.start()
    try:
        yield sim
    finally:
        sim.stop()


@contextmanager
def provisioned_device(folder: Path, fleet: SimFleet) -> Iterator[AgentProcess]:
    """A device whose agent a test starts."""
    port = free_port()
    agent = AgentProcess(write_device(folder / "device", DEVICE, fleet, serve_port=port), port)
    try:
        yield agent
    finally:
        if agent.process is not None and agent.process.poll() is None:
            agent.stop()
    assert "Traceback" not in agent.log()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of the test's own."""
    with running_broker(tmp_path) as mosquitto:
        yield mosquitto


@pytest.fixture
def fleet(broker: Mosquitto) -> Iterator[SimFleet]:
    """A fleet of the test's own."""
    with listening_fleet(broker) as sim:
        yield sim


@pytest.fixture
def device(tmp_path: Path, fleet: SimFleet) -> Iterator[AgentProcess]:
    """A device of the test's own."""
    with provisioned_device(tmp_path, fleet) as agent:
        yield agent


def written(folder: Path) -> bytes:
    """Return what the files of a folder hold just now; some come and go while somebody works there."""
    pages = []
    for file in sorted(folder.glob("*")):
        with suppress(FileNotFoundError):
            pages.append(file.read_bytes())
    return b"".join(pages)


def until(is_so: object, *, timeout_s: float = 240) -> None:
    """Wait until a callable returns something true."""
    assert callable(is_so)
    end_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not come true in time"
        time.sleep(0.05)
