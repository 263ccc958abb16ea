"""Whoever prepares leaves the cores to those who serve."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.adapters.beside import beside
from agent.worker_link import Ready, Serve, Serving
from tests.sim.control import ROOT, Control
from tests.sim.tiny_release import TinyRelease

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
SAY = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"


def priorities(pid: int) -> set[int]:
    """Return the niceness of each of a process's threads."""
    return {os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in Path(f"/proc/{pid}/task").iterdir()}


def test_a_worker_prepares_behind_the_others_and_serves_as_one_of_them(playing: Control, tmp_path: Path) -> None:
    # Given a worker that has loaded its model, on a system that lets it come forward again, or on one that does not
    own = os.getpriority(os.PRIO_PROCESS, 0)
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.hear_of(Ready)
    prepared = priorities(worker.process.pid)
    # When it serves
    worker.say(Serve())
    worker.hear_of(Serving)
    # Then no thread of it stands behind
    assert priorities(worker.process.pid) == {own}
    assert prepared in ({min(own + 10, 19)}, {own})


def stepping(limit: int) -> list[int]:
    """Step back and come forward as nobody in particular, under this limit on priorities; return the niceness in between and after."""
    program = (
        "import os, resource; from agent.worker.priority import come_forward, step_back;"
        f"resource.setrlimit(resource.RLIMIT_NICE, ({limit}, {limit})); os.setresuid(65534, 65534, 65534);"
        f"step_back(); {SAY}; come_forward(); {SAY}"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if "not allowed to raise maximum limit" in said.stderr:
        pytest.skip("the limit on priorities cannot be raised here")
    return [int(line) for line in said.stdout.split()]


@needs_root
def test_a_worker_that_could_not_come_forward_again_never_steps_back() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert stepping(0) == [own, own]


@needs_root
def test_the_limit_of_the_unit_lets_a_worker_come_forward_without_any_privilege() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert stepping(20 - own) == [min(own + 10, 19), own]


def test_what_runs_beside_the_workers_stands_behind_them() -> None:
    *command, _, _ = beside("agent.verifier")
    said = subprocess.run([*command, "-c", SAY], capture_output=True, text=True, check=True, timeout=60)
    assert int(said.stdout) == min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)


def test_root_of_a_container_only_keeps_the_priority_that_it_cannot_take_back() -> None:
    # Given a root who holds every capability, in a user namespace of its own
    program = "import os; from agent.worker.priority import *; own = os.nice(0); step_back(); come_forward(); print(os.nice(0) - own)"
    command = ["nice", "-n", "1", "unshare", "--user", "--map-root-user", sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0 and "unshare" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    # Then it neither steps back nor ends
    assert (done.stdout, done.stderr) == ("0\n", "")
