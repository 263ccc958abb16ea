"""A fleet server as its operator runs it: a process of its own, on free ports, stopped by the signal that Ctrl-C or systemd send."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
import psutil

from agent.enrolment import Order, enrol
from tests.live.ports import free_port

ROOT = Path(__file__).parents[2]
# Bounds for machines that do much else: what takes longer does not come.
READY_S = 120.0
STOP_S = 60.0
COMMAND_S = 180.0

Found = TypeVar("Found")


def wait_for(find: Callable[[], Found | None], *, seconds: float = 120.0) -> Found:
    """Return the first thing that is found; fail when nothing is in time."""
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        if found := find():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing within {seconds:g} s")


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which commands use this tree and this folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "FIELDFARE_DIR": str(folder), "COLUMNS": "200"}


def fieldfare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = (sys.executable, "-m", "cli", *arguments)
    return subprocess.run(command, cwd=ROOT, env=environment(folder), capture_output=True, text=True, check=False, timeout=COMMAND_S)


class FleetProcess:
    """`with` starts it and stops it."""

    def __init__(self, folder: Path, before: FleetProcess | None = None, *options: str) -> None:
        """Choose ports; a restart keeps those of the one before."""
        self.options = options
        self.folder = folder
        self.port: int = before.port if before else free_port()
        self.tls_port: int = before.tls_port if before else free_port()
        self.broker_port: int = before.broker_port if before else free_port()
        self.process: subprocess.Popen[str] | None = None
        self.exit_status: int | None = None

    def __enter__(self) -> FleetProcess:
        command = (
            *(sys.executable, "-m", "cli", "fleet", "up"),
            "--port",
            str(self.port),
            "--tls-port",
            str(self.tls_port),
            "--broker-port",
            str(self.broker_port),
            *self.options,
        )
        self.log = (self.folder.parent / f"{self.folder.name}.log").open("a")
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment(self.folder), stdout=subprocess.PIPE, stderr=self.log, text=True)
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(READY_S) else ""
        if not line.startswith("ready: "):
            self.stop()
            raise AssertionError(f"no ready line but {line!r}; {Path(self.log.name).read_text()}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and everything it started."""
        assert self.process is not None
        if self.exit_status is None:
            self.process.send_signal(number)
            try:
                self.exit_status = self.process.wait(STOP_S)
            finally:
                self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.log.close()

    @property
    def connection(self) -> dict[str, Any]:
        """What the server left for its owner."""
        found: dict[str, Any] = json.loads((self.folder / "connection.json").read_text())
        return found

    @property
    def api(self) -> httpx.Client:
        """A client with the owner's token; close it."""
        headers = {"Authorization": f"Bearer {self.connection['token']}"}
        # Well before the server lets go of a connection by itself: who asks just then is cut off.
        limits = httpx.Limits(keepalive_expiry=1.0)
        # Over plain HTTP no authority is believed: to read all that a system knows takes longer than the answer.
        return httpx.Client(base_url=f"{self.connection['url']}/api/v1/", headers=headers, timeout=60, limits=limits, verify=False)

    def broker_pid(self) -> int:
        """Return the broker that it started last; 0 while none runs."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name() == "mosquitto" and child.status() != psutil.STATUS_ZOMBIE:
                    return child.pid
        return 0

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against it."""
        return fieldfare(self.folder, *arguments)

    def ask(self, *arguments: str) -> Any:
        """Run a command that must succeed, and return its JSON."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def python(self, program: str) -> str:
        """Return what a Python program prints in this tree."""
        command = (sys.executable, "-c", program)
        done = subprocess.run(
            command, cwd=ROOT, env=environment(self.folder), capture_output=True, text=True, check=True, timeout=COMMAND_S
        )
        return done.stdout

    @property
    def tls_url(self) -> str:
        """Where it is reached from elsewhere."""
        return f"https://127.0.0.1:{self.tls_port}"

    def token(self, device: str | None = None, *, hardware: str = "cpu", labels: dict[str, str] | None = None, **more: float) -> str:
        """Return an enrolment token."""
        with self.api as api:
            body = {"device": device, "hardware": hardware, "labels": labels or {}, **more}
            token: str = api.post("enrolment-tokens", json=body).raise_for_status().json()["token"]
        return token

    def enroll(self, token: str, out: Path, *options: str, server: str | None = None) -> subprocess.CompletedProcess[str]:
        """Enrol a machine, as on the device itself."""
        return self.run("agent", "enroll", "--server", server or self.tls_url, f"--token={token}", "--out", str(out), *options)

    def add_device(self, device: str, hardware: str = "cpu", **labels: str) -> Path:
        """Let a device in and return its folder."""
        out = self.folder.parent / device
        enrol(Order(self.tls_url, self.token(device, hardware=hardware, labels=labels), None, {}, out))
        return out
