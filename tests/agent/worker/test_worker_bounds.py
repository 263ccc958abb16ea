"""What a worker may take, asked of the kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.worker_link import Prove, Proven, Pulse
from tests.sim.control import ROOT, Control, WorkerProcess
from tests.sim.tiny_release import TinyRelease

MANY_PULSES = 20


def resident_bytes(worker: WorkerProcess) -> int:
    """Return how much of a worker is in memory, as the kernel counts it."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_a_worker_goes_before_the_control_process_and_leaves_no_core(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    ready = worker.start_serving()

    process = Path(f"/proc/{worker.process.pid}")
    limits = {line[:25].strip(): line[25:].split()[:2] for line in (process / "limits").read_text().splitlines()}

    assert (process / "oom_score_adj").read_text().strip() == "500"
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["1024", "1024"]
    assert limits["Max data size"][0] == "unlimited"  # it was given no bound
    assert ready.inference_s > 0


def test_the_kernel_refuses_what_is_beyond_a_workers_bound() -> None:
    program = "from agent.worker.bounds import bind; bind(200 << 20); print('bound', flush=True); bytearray(b'x') * (300 << 20)"

    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    assert ended.stdout == "bound\n"
    assert "MemoryError" in ended.stderr


def test_a_pulse_tells_how_much_memory_is_in_use_and_that_no_inference_is_under_way(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()

    # What it takes may change between its look and ours, but not each time.
    pulses = (worker.hear_of(Pulse) for _ in range(MANY_PULSES))
    assert any(pulse.rss_bytes == pytest.approx(resident_bytes(worker), rel=0.2) and pulse.inference_age_s == 0 for pulse in pulses)


def test_a_serving_worker_runs_its_golden_set_once_more(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()

    worker.say(Prove())
    assert worker.hear_of(Proven) == Proven(passed=True)
    # And tells when it cannot: a card can rot under a worker that has long loaded its model.
    (tmp_path / "release/golden/inputs.npz").unlink()
    worker.say(Prove())
    proven = worker.hear_of(Proven)
    assert not proven.passed
    assert "golden/inputs.npz" in proven.reason
