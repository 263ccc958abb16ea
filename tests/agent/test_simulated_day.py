"""A day of faults, simulated: links lost, brokers that restart or are busy, workers that crash or hang, full disks, clocks that jump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sim.day import HOURS

ROOT = Path(__file__).parents[2]
DAY_S = 550


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One day, lived in a process of its own, whose clock is the simulated one."""
    command = [sys.executable, "-m", "tests.sim.day", str(tmp_path_factory.mktemp("day"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=DAY_S, check=False)
    assert found.returncode == 0, found.stderr
    story: dict[str, Any] = json.loads(found.stdout)
    return story


def test_nothing_grows_from_the_third_hour_to_the_last(day: dict[str, Any], tell: Callable[[str], None]) -> None:
    early, late = day["hour 3"], day[f"hour {HOURS}"]
    tell(f"a simulated day, hour 3: {early}")
    tell(f"a simulated day, hour {HOURS}: {late}")
    # One agent queues eight thousand messages in between: a leak of one block for each would be four times this.
    assert late["blocks"] - early["blocks"] < 2000
    assert late["objects"] - early["objects"] < 1000
    assert late["resident_bytes"] - early["resident_bytes"] < 4 << 20
    for thing in ("threads", "tasks", "descriptors", "files"):
        assert late[thing] <= early[thing] + 1


def test_every_window_arrived_alone_or_merged(day: dict[str, Any]) -> None:
    assert day["windows"] > 8000
    assert day["merged"] > 0
    assert day["missing"] == day["dropped"] == 0


def test_all_that_happened_was_told_and_the_last_wish_is_followed(day: dict[str, Any]) -> None:
    assert day["release"] == HOURS
    assert day["connects"] > 15
    assert day["workers"] > HOURS
    assert day["reboots"] == 3
    assert min(day["messages"][leaf] for leaf in ("birth", "reported", "event", "inference")) > 20
    # Not one stamp of a clock that had fallen back by half a century.
    assert day["earliest"] > "2026-11-20"
