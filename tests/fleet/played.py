"""Devices that `fieldfare fleet simulate` plays beside a server, for as long as a test needs them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fleet.bundles import make_bundle
from tests.fleet.server import ROOT, FleetProcess, environment, wait_for

LEAVE_S = 120
# The test ends them; this ends them where the test itself was killed.
BOUND_S = "3600"


def simulate(fleet: FleetProcess, *options: str) -> subprocess.Popen[str]:
    """Start to play; what it says at its end is JSON."""
    command = (sys.executable, "-m", "cli", "fleet", "simulate", "--json", *options)
    return subprocess.Popen(command, cwd=ROOT, env=environment(fleet.folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def leave(played: subprocess.Popen[str]) -> tuple[str, str]:
    """End it as Ctrl-C does; return what it said, and what it complained of."""
    played.send_signal(signal.SIGINT)
    return played.communicate(timeout=LEAVE_S)


@contextmanager
def settled_devices(fleet: FleetProcess, folder: Path, count: int, scenario: str) -> Iterator[None]:
    """Play devices that are all online and run release 1, until the test is over; `folder` keeps what they are played by."""
    file = folder / "scenario.toml"
    file.write_text(scenario)
    played = simulate(fleet, "--devices", str(count), "--faults", str(file), "--seconds", BOUND_S)
    try:
        with fleet.api as api:
            wait_for(lambda: api.get("overview").json()["online"] == count)
        add_release(fleet, folder, 1)
        assert fleet.ask("rollout", "start", "digits", "--to", "all", "--wait")["counts"] == {"committed": count}
        yield
    finally:
        leave(played)


def add_release(fleet: FleetProcess, folder: Path, release: int) -> None:
    """Make a bundle of the digits model and add it."""
    make_bundle(folder / str(release), release=release)
    fleet.ask("release", "add", str(folder / str(release)))
