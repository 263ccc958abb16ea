"""A worker from its start to its end, as the control process sees it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.worker_link import Drain, Failed, Pulse, Ready, Serve, WorkerLine
from tests.sim.control import ROOT, Control, WorkerProcess
from tests.sim.raw_http import RawCaller, json_body, request, scores_of, wait_until_nobody_accepts
from tests.sim.tiny_release import TinyRelease


def last_word(worker: WorkerProcess) -> WorkerLine:
    """Return the next line that is no pulse."""
    while isinstance(line := worker.hear(), Pulse):
        pass
    return line


def accepts_no_one(playing: Control) -> bool:
    """Say whether a caller waits in vain: the kernel's queue takes it, nobody answers."""
    with RawCaller(playing.address.port) as caller:
        caller.send(request("/v2/health/live", method="GET"))
        return not caller.has_answer_within(0.5)


def test_a_good_release_is_ready_with_the_truth_about_its_provider(playing: Control, tmp_path: Path) -> None:
    TinyRelease(samples=5).write(tmp_path / "release")

    ready = playing.start(tmp_path / "release").hear_of(Ready)

    assert ready.golden_passed, ready.reason
    assert (ready.runtime, ready.provider, ready.preferred_provider) == ("onnx", "CPUExecutionProvider", "CPUExecutionProvider")
    assert ready.placement == {"CPUExecutionProvider": 3}
    assert ready.golden_samples == 5
    assert ready.golden_error <= ready.golden_tolerance


def test_a_worker_accepts_nobody_before_it_is_told_to_serve(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.hear_of(Ready)

    assert accepts_no_one(playing)


def test_a_release_that_fails_its_golden_set_says_where_and_never_serves(playing: Control, tmp_path: Path) -> None:
    TinyRelease(golden_shift=0.25).write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")

    ready = worker.hear_of(Ready)
    worker.say(Serve())

    assert not ready.golden_passed
    assert ready.golden_error == pytest.approx(0.25, abs=1e-3)
    for part in ("golden sample 0", "output scores", "expected", "found", "tolerance 0.0001"):
        assert part in ready.reason
    assert isinstance(last_word(worker), Failed)
    assert worker.wait() == 1
    assert accepts_no_one(playing)


def test_a_release_that_failed_its_golden_set_drains_like_any_other(playing: Control, tmp_path: Path) -> None:
    TinyRelease(golden_shift=0.25).write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.hear_of(Ready)

    assert worker.drain() == 0


def test_a_golden_output_that_is_no_number_is_refused_and_still_reported(playing: Control, tmp_path: Path) -> None:
    TinyRelease(golden_shift=float("nan")).write(tmp_path / "release")

    ready = playing.start(tmp_path / "release").hear_of(Ready)

    assert not ready.golden_passed
    assert "nan" in ready.reason


def test_a_file_that_rotted_on_disk_is_named(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    model = tmp_path / "release/artifacts/cpu/model.onnx"
    raw = bytearray(model.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.write_bytes(raw)

    worker = playing.start(tmp_path / "release")

    failed = last_word(worker)
    assert isinstance(failed, Failed)
    assert "model.onnx: expected sha256" in failed.reason
    assert worker.wait() == 1


@pytest.mark.parametrize(
    ("release", "model", "target", "reason"),
    [
        (TinyRelease(model_bytes=b"this was never a model"), "tiny", "cpu", "model.onnx: expected a model that ONNX Runtime loads"),
        (TinyRelease(), "tiny", "jetson-orin", "expected an artifact for jetson-orin, found cpu"),
        (TinyRelease(), "another", "cpu", "expected model another, found tiny"),
    ],
)
def test_a_release_that_cannot_be_loaded_fails_with_its_reason(
    playing: Control, tmp_path: Path, release: TinyRelease, model: str, target: str, reason: str
) -> None:
    release.write(tmp_path / "release")

    worker = playing.start(tmp_path / "release", model=model, target=target)

    failed = last_word(worker)
    assert isinstance(failed, Failed)
    assert reason in failed.reason
    assert "\n" not in failed.reason
    assert worker.wait() == 1


def test_a_folder_without_a_release_and_a_token_too_short_to_be_one_are_named(playing: Control, tmp_path: Path) -> None:
    missing = last_word(playing.start(tmp_path / "nowhere"))
    TinyRelease().write(tmp_path / "release")
    playing.token_file.write_text("guess")
    short = last_word(playing.start(tmp_path / "release"))

    assert isinstance(missing, Failed)
    assert "nowhere/manifest.json" in missing.reason
    assert isinstance(short, Failed)
    assert "a token of at least 16 letters" in short.reason
    assert "guess" not in short.reason


def test_the_death_of_the_control_process_ends_a_serving_worker(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()

    worker.hang_up()

    assert worker.wait() == 3


@pytest.mark.parametrize("raw", [b"hello\n", b'{"kind":"dance"}\n', b"x" * 300_000])
def test_a_link_that_speaks_nonsense_ends_the_worker(playing: Control, tmp_path: Path, raw: bytes) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.hear_of(Ready)

    worker.say_raw(raw)

    assert worker.wait() == 3


def test_a_worker_pulses_and_counts(playing: Control, tmp_path: Path) -> None:
    release = TinyRelease()
    release.write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()
    with RawCaller(playing.address.port) as caller:
        caller.send(request(body=json_body(release.pictures(1))) + request(body=b"{}"))
        assert [caller.answer().status for _ in range(2)] == [200, 400]

    # What it said before it was asked may be heard only now
    while (pulse := worker.hear_of(Pulse)).requests < 2 or pulse.in_flight:
        pass

    assert (pulse.requests, pulse.errors) == (2, 1)


def test_a_stop_by_signal_drains_and_an_interrupt_is_left_to_the_control_process(playing: Control, tmp_path: Path) -> None:
    release = TinyRelease()
    release.write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()
    with RawCaller(playing.address.port) as caller:
        worker.process.send_signal(signal.SIGINT)
        caller.send(request(body=json_body(release.pictures(1))))
        assert not caller.answer().ends_connection

        worker.process.send_signal(signal.SIGTERM)
        wait_until_nobody_accepts(playing.address.port)
        caller.send(request(body=json_body(release.pictures(1))))
        answer = caller.answer()

        assert scores_of(answer).shape == (1, 3)
        assert answer.ends_connection
    assert worker.wait() == 0


def test_a_drain_while_the_model_loads_ends_the_worker_at_once(playing: Control, tmp_path: Path) -> None:
    TinyRelease().write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")

    worker.say(Drain(deadline_s=30.0))

    assert worker.wait() == 0


@pytest.mark.parametrize("arguments", [[], ["{}"], ["not json"], ["{}", "{}"]])
def test_a_setup_that_is_none_is_bad_usage(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "agent.worker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
