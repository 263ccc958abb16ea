"""Sets the stage of an ingest: the fleet's broker, devices that talk, and a consumer, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from fleet.south.rules import FLEET_USER
from tests.live.authority import authority, file_of, server_identity
from tests.live.ports import free_port
from tests.sim.control import ROOT

LONGEST_S = 300.0


class Program:
    """A part in a process of its own: it reads an order, says `ready`, goes on at the next line, and ends with JSON."""

    def __init__(self, module: str, order: dict[str, Any]) -> None:
        """Start it and wait until it is ready."""
        self.process = subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._tell(json.dumps(order))
        assert self._line() == "ready\n", f"{module} did not start"

    def go(self) -> None:
        """Let it go on."""
        self._tell("go")

    def result(self) -> dict[str, Any]:
        """Wait for its last words."""
        words = self._line()
        self.process.wait(60)
        assert words, "it ended without a word"
        found: dict[str, Any] = json.loads(words)
        return found

    def kill(self) -> None:
        """End it at once, as SIGKILL does, if it runs."""
        self.process.kill()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        timer = threading.Timer(LONGEST_S, self.process.kill)
        timer.start()
        words = self.process.stdout.readline()
        timer.cancel()
        return words

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


class Stage:
    """A broker, and the door at which devices are let in by their names."""

    def __init__(self, folder: Path, devices: int) -> None:
        """Nothing runs yet."""
        self.folder = folder
        self._programs: list[Program] = []
        self.door = folder / "broker" / "door"
        self.devices = [f"pi-{number}" for number in range(devices)]
        self.port = free_port()
        self.papers = {"authority": str(authority().certificate_file), "own": str(file_of(FLEET_USER)), "server": str(server_identity())}

    @contextmanager
    def broker(self) -> Iterator[psutil.Process]:
        """Run the broker; yield what keeps it alive."""
        (self.folder / "broker").mkdir(exist_ok=True)
        order = {"folder": str(self.folder / "broker"), "door": str(self.door), "port": self.port, **self.papers}
        keeper = Program("tests.sim.broker_process", order)
        try:
            yield psutil.Process(keeper.process.pid)
            keeper.go()
            keeper.result()
        finally:
            for program in (*self._programs, keeper):
                program.kill()

    def consumer(self, module: str, database: Path, messages: int, replica: str = "") -> Program:
        """Start a consumer of so many messages, or one of several."""
        order = {"port": self.port, "database": str(database), "devices": self.devices, "messages": messages, "replica": replica}
        return self._start(module, {**order, **self.papers})

    def load(self, count: int, devices: Sequence[str] | None = None) -> Program:
        """Prepare every device, or these, to send so many messages."""
        return self._start("tests.sim.uplink_load", {"door": str(self.door), "devices": devices or self.devices, "count": count})

    def _start(self, module: str, order: dict[str, Any]) -> Program:
        self._programs.append(Program(module, order))
        return self._programs[-1]


def mosquitto_of(keeper: psutil.Process) -> psutil.Process:
    """Return the broker itself."""
    (found,) = (child for child in keeper.children(recursive=True) if child.name() == "mosquitto")
    return found
