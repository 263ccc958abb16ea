"""What the resident process holds in memory: no module that only a short-lived process needs, and no more than is said here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from agent.lazy import UNUSED
from tests.agent.conftest import DEVICE, ROOT, AgentProcess
from tests.sim.fleet import SimFleet

# What it cannot share with others, on CPython 3.10 to 3.13; about 25 MiB on 3.11.
MAX_PRIVATE_MIB = 30
# Of whoever starts the agent, asks the verifier, makes keys, patches, serves a model, or looks at a package's description.
ELSEWHERE = {
    "typer",
    "click",
    "rich",
    "tuf",
    "securesystemslib",
    "cryptography",
    "backports.zstd",
    "numpy",
    "onnxruntime",
    "httptools",
    "psutil",
    "email.message",
}


def private_mib(pid: int) -> float:
    """Return the memory of a process that it shares with nobody, its files on disk apart."""
    with Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024


def test_the_control_process_runs_no_module_that_it_does_not_use() -> None:
    # Given the modules that wait until they are touched, and the ones that are another process's
    program = (
        f"from agent.lazy import UNUSED, WaitingModule, spare; spare(UNUSED); import agent.service, sys;"
        f"print(*(name for name in sorted(UNUSED | {ELSEWHERE}) if name in sys.modules and type(sys.modules[name]) is not WaitingModule))"
    )
    # When the control process is imported
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    # Then none of them has run, but for those that the standard library touches
    assert set(found.stdout.split()) <= {"textwrap", "tokenize"}


def test_a_module_that_waits_is_whole_once_it_is_touched() -> None:
    program = "from agent.lazy import UNUSED, spare; spare(UNUSED); import http.client; print(http.client.HTTPSConnection.__name__)"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "HTTPSConnection\n"


def test_a_module_waits_however_often_it_is_imported() -> None:
    program = (
        "from agent.lazy import UNUSED, WaitingModule, spare; spare(UNUSED); import statistics; import statistics, sys;"
        "print(type(sys.modules['statistics']) is WaitingModule, statistics.median([1, 2, 3]))"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "True 2\n"


def test_threads_that_touch_a_waiting_module_together_all_find_it_whole(tmp_path: Path) -> None:
    # Given a module that takes its time, and counts how often it is run
    (tmp_path / "slow.py").write_text("import sys, time\nsys.runs = getattr(sys, 'runs', 0) + 1\ntime.sleep(0.2)\nlast = 1\n")
    program = (
        "import sys, threading; from agent.lazy import spare; spare(frozenset({'slow'})); import slow; found = [];"
        "threads = [threading.Thread(target=lambda: found.append(slow.last)) for _ in range(8)];"
        "runs_before = getattr(sys, 'runs', 0); [thread.start() for thread in threads]; [thread.join() for thread in threads];"
        "print(runs_before, sys.runs, found)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    # When many threads touch it at once
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60)
    # Then it runs once, and none of them finds a part of it missing
    assert found.stdout == f"0 1 {[1] * 8}\n"


def test_a_waiting_module_that_cannot_run_says_so_each_time(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise OSError('no such accelerator')\n")
    program = (
        "from agent.lazy import spare; spare(frozenset({'broken'})); import broken\n"
        "for _ in range(2):\n  try: broken.name\n  except OSError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "no such accelerator\n" * 2


def test_every_module_that_waits_exists() -> None:
    program = f"import {', '.join(sorted(UNUSED))}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_idle_agent_holds_little_memory_of_its_own(fleet: SimFleet, device: AgentProcess) -> None:
    # Given the agent as the command runs it, connected
    device.behaviours = None
    device.start()
    fleet.wait_for_birth(DEVICE, online=True)
    assert device.process is not None
    # Then what the command line took is gone, and what is left is bounded
    assert private_mib(device.process.pid) < MAX_PRIVATE_MIB
