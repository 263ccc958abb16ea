"""Runs a real haproxy by deploy/haproxy.cfg, before two servers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STOP_S = 60.0


CONFIG = ROOT / "deploy" / "haproxy.cfg"


@contextmanager
def haproxy(port: int, servers: tuple[int, int], log: Path, config: Path = CONFIG) -> Iterator[None]:
    """Listen on `port` for the servers at these ports of this machine; skip the test where haproxy is not installed."""
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        pytest.skip("haproxy is not installed")
    where = {
        "FLEET_BIND": f"127.0.0.1:{port}",
        "SERVER_A": f"127.0.0.1:{servers[0]}",
        "SERVER_B": f"127.0.0.1:{servers[1]}",
    }
    with log.open("ab") as output:
        command = [program, "-db", "-f", str(config)]
        process = subprocess.Popen(command, env={**os.environ, **where}, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)
