"""Power cuts while settings of the fleet are taken: a device starts with the revision that it had or the next, whole in any case."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contracts.lifecycle import Phase
from tests.live.power import power_disk
from tests.sim import settings_device

ROOT = Path(__file__).parents[3]
CUTS = 100
# Cuts after which the device also takes the next revision.
FINISHED_EVERY = 10
MANY = 100_000
WAIT_S = 150.0


@dataclass
class Writer:
    """A device at work in a process of its own."""

    process: subprocess.Popen[str]
    said: int = 0

    def hear(self, lines: IO[str]) -> None:
        """Note what it says."""
        for line in lines:
            self.said = json.loads(line)["revision"]

    def wait_for(self, revision: int) -> None:
        """Wait until it said that it has a revision."""
        end_s = time.monotonic() + WAIT_S
        while self.said < revision:
            assert self.process.poll() is None, "the device ended"
            assert time.monotonic() < end_s, f"expected to hear of revision {revision}, heard of {self.said}"
            time.sleep(0.005)


@contextmanager
def at_work(state: Path) -> Iterator[Writer]:
    """Run a device that takes one revision after the other; begin when it has its second."""
    command = [sys.executable, "-m", "tests.sim.settings_device", str(state), str(MANY)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        writer = Writer(process)
        assert process.stdout is not None
        listener = threading.Thread(target=writer.hear, args=(process.stdout,), daemon=True)
        listener.start()
        try:
            writer.wait_for(3)
            yield writer
            assert process.poll() is None, "the device ended"
        finally:
            process.kill()
            process.wait(WAIT_S)
            listener.join(WAIT_S)


def test_no_power_cut_tears_settings_or_loses_what_was_reported(tmp_path: Path, tell: Callable[[str], None]) -> None:
    chance, found = random.Random(5), list[int]()
    with power_disk(tmp_path) as disk, at_work(disk.folder / "state") as writer:
        for number in range(CUTS):
            time.sleep(chance.uniform(0.0, 0.08))
            said = writer.said
            with disk.after_a_cut() as folder:
                state = folder / "state"
                found.append(settings_device.committed(state))
                assert said <= found[-1], f"cut {number}: said {said}, found {found[-1]}"
                writer.wait_for(found[-1])  # what it finds there it has said by now, or is about to say
                if number % FINISHED_EVERY == 0:
                    life = asyncio.run(settings_device.take(state, found[-1] + 1))
                    assert life.began_with == settings_device.set_to(found[-1])
                    assert life.report is not None
                    assert life.report.phase is Phase.COMMITTED
    tell(f"power cuts: {CUTS} through {len(set(found))} revisions of settings: 0 torn, 0 lost")
    assert len(set(found)) >= 5
