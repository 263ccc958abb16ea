"""What is tied to its parent ends with it, whatever the parent ended of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from tests.agent.conftest import until

ROOT = Path(__file__).parents[2]
CHILD = "import time; from agent.leash import leash; leash(); print('tied', flush=True); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_a_process_on_a_leash_is_killed_when_the_one_that_started_it_is() -> None:
    # Given a process that was started by another one, and says that it is tied
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None  # it is a pipe
    with parent.stdout:
        assert parent.stdout.readline() == "tied\n"
    (child,) = psutil.Process(parent.pid).children()
    # When that one is killed, then it is gone too
    parent.kill()
    parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, timeout_s=30)
