"""Starts and ends the processes of the demo: one fleet server, and an agent for each device."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 15.0


class StageError(Exception):
    """A process of the demo did not do its part."""


def free_port(preferred: int) -> int:
    """Return `preferred` if nobody listens there, else the next free port."""
    for port in range(preferred, preferred + 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StageError(f"no free port from {preferred} to {preferred + 199}")


def wait_until(what: str, is_done: Callable[[], bool], deadline_s: float = START_DEADLINE_S) -> None:
    """Ask twice a second until it is done; raise StageError saying what did not happen."""
    end = time.monotonic() + deadline_s
    while not is_done():
        if time.monotonic() > end:
            raise StageError(f"{what}: not within {deadline_s:.0f} s")
        time.sleep(0.5)


class Stage:
    """A folder with everything the demo leaves behind, and the processes that run in it."""

    def __init__(self, folder: Path, choose_port: Callable[[int], int] = free_port) -> None:
        """Work in `folder`; `choose_port` takes the port that would be liked best, and returns one that is free."""
        self.folder = folder
        self.choose_port = choose_port
        self.fleet_dir = folder / "fleet"
        # Where devices enrol, once the fleet is up.
        self.tls_port = 0
        self._environment = {**os.environ, "FIELDFARE_DIR": str(self.fleet_dir)}
        self._exits = ExitStack()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exits.close()

    def fieldfare(self, *arguments: str | Path, expected: int = 0, shows: bool = False) -> str:
        """Run one command as a user would; return its output, or raise StageError when its status is not the expected one."""
        command = [sys.executable, "-m", "cli", *map(str, arguments)]
        # What people should see goes straight to their terminal, so that tables and progress keep their colours.
        done = subprocess.run(
            command, env=self._environment, stdout=None if shows else subprocess.PIPE, text=True, timeout=300, check=False
        )
        if done.returncode != expected:
            raise StageError(f"fieldfare {' '.join(map(str, arguments))}: expected status {expected}, found {done.returncode}")
        return done.stdout or ""

    def asked(self, *arguments: str) -> Any:
        """Run one command with --json and return its answer."""
        return json.loads(self.fieldfare(*arguments, "--json"))

    def start(self, name: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start one long-running command; its log goes to a file, and it ends with the demo."""
        return self._exits.enter_context(self._running(name, arguments))

    @contextmanager
    def _running(self, name: str, arguments: tuple[str | Path, ...]) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "cli", *map(str, arguments)]
            # Own session: a Ctrl-C in the terminal reaches the demo alone, which then ends the others in order.
            process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
