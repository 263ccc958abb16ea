"""Starts the dashboard over a simulated fleet in a process of its own, and waits until it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.live.ports import free_port

ROOT = Path(__file__).parents[3]
START_S = 120


@contextmanager
def dashboard(folder: Path, *, codes: str, devices: int = 24, speed: float = 1.0, people: Sequence[str] = ()) -> Iterator[str]:
    """Yield the address of a server with one-time `codes`, parted by commas, and `people` NAME=PASSWORD=ROLE; `folder` keeps its log."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fleet.dashboard.serve", str(port), codes, str(devices), str(speed), *people]
    # NiceGUI behaves otherwise where it sees pytest's variable.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log)
    try:
        wait_until_up(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=START_S)


def wait_until_up(address: str, server: subprocess.Popen[bytes]) -> None:
    """Poll until the server answers."""
    deadline = time.monotonic() + START_S
    while not answers(address):
        assert server.poll() is None, "the server ended: see server.log"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.05)


def answers(address: str) -> bool:
    """Say whether the server is up."""
    try:
        return httpx.get(f"{address}/healthz").is_success
    except httpx.TransportError:
        return False
