"""A candidate beside the live worker: it sees a share of the inputs, compares, keeps to its budget, and never disturbs who serves."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from agent.client import Client, ClientError
from agent.worker_link import Compared, Ready, Reflect, Rest, Serve, Serving, Shadow
from contracts.shadow import ShadowPart, joined_part
from tests.sim.control import TOKEN, Control, WorkerProcess
from tests.sim.tiny_release import MODEL, RAW, SCORES, TinyRelease

LIVE = TinyRelease(release=1, seed=7)
WAIT_S = 120.0


def begun(playing: Control, folder: Path, candidate: TinyRelease, *, max_cpu_share: float = 4.0) -> tuple[WorkerProcess, WorkerProcess]:
    """Return a live worker that shows all its answers to a candidate."""
    LIVE.write(folder / "live")
    candidate.write(folder / "candidate")
    live = playing.start(folder / "live", window_s=0.2)
    live.start_serving()
    shadow = playing.start(folder / "candidate", window_s=0.2)
    assert shadow.hear_of(Ready).golden_passed
    socket = str(folder / "shadow.sock")
    shadow.say(Shadow(socket=socket, max_cpu_share=max_cpu_share))
    end_s = monotonic() + WAIT_S
    while not (folder / "shadow.sock").exists():
        assert monotonic() < end_s
        sleep(0.01)
    live.say(Reflect(socket=socket, share=1.0))
    return live, shadow


class Asking:
    """A caller who goes on asking, each time with another picture; every answer must be the live release's."""

    def __init__(self, playing: Control) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._url = f"http://{playing.address.url}"
        self._is_over = threading.Event()
        self._caller = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Asking:
        self._caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._caller.join(WAIT_S)
        assert not self.failures, self.failures[0]
        assert self.answers

    def _ask(self) -> None:
        pictures = LIVE.pictures(64)
        expected = LIVE.scores(pictures)
        with Client(self._url, TOKEN) as client:
            while not self._is_over.is_set() and not self.failures:
                at = self.answers % len(pictures)
                try:
                    answer = client.infer(MODEL, {RAW.name: pictures[at][None]})[SCORES.name]
                except ClientError as error:
                    self.failures.append(str(error))
                    return
                if not np.allclose(answer, expected[at], atol=1e-4):
                    self.failures.append(f"expected {expected[at]}, found {answer}")
                self.answers += 1


def compared(shadow: WorkerProcess, inputs: int) -> ShadowPart:
    """Return what the candidate told of so many inputs; somebody must be asking."""
    total: ShadowPart | None = None
    end_s = monotonic() + WAIT_S
    while total is None or total.compared + total.errors < inputs:
        assert monotonic() < end_s, f"it told only of {total}"
        total = joined_part(total, shadow.hear_of(Compared).part)
    return total


def test_a_candidate_that_computes_the_same_agrees_on_every_input(playing: Control, tmp_path: Path) -> None:
    _, shadow = begun(playing, tmp_path, TinyRelease(release=2, seed=7))

    with Asking(playing):
        found = compared(shadow, 50)

    assert (found.agreed, found.errors) == (found.compared, 0)
    assert (found.scored, round(found.shift, 3), round(found.shift_squares, 3)) == (found.compared, 0.0, 0.0)
    assert found.latencies.count == found.live_latencies.count == found.compared


def test_a_candidate_that_computes_something_else_disagrees_as_often_as_it_does(playing: Control, tmp_path: Path) -> None:
    other = TinyRelease(release=2, seed=8)
    _, shadow = begun(playing, tmp_path, other)
    pictures = LIVE.pictures(64)
    same = float(np.mean(LIVE.scores(pictures).argmax(axis=1) == other.scores(pictures).argmax(axis=1)))

    with Asking(playing):
        found = compared(shadow, 200)

    assert same < 0.9
    assert found.agreed / found.compared == pytest.approx(same, abs=0.15)
    assert found.shift_squares > 0


def test_a_candidate_that_rests_takes_nothing_and_says_how_much_it_missed(playing: Control, tmp_path: Path) -> None:
    _, shadow = begun(playing, tmp_path, TinyRelease(release=2, seed=7), max_cpu_share=0.02)
    with Asking(playing) as asking:
        assert compared(shadow, 5).paused_s > 0  # for its share of a core
        shadow.say(Rest(is_resting=True))
        while shadow.hear_of(Compared).part.compared:
            pass
        goal, end_s = asking.answers + 500, monotonic() + WAIT_S
        while asking.answers < goal:
            assert monotonic() < end_s, "the live worker waits for its shadow"
            assert shadow.hear_of(Compared).part.compared == 0
        shadow.say(Rest(is_resting=False))
        total = compared(shadow, 1)
        while not total.dropped:
            assert monotonic() < end_s + WAIT_S, "nothing was dropped"
            total = compared(shadow, 1)


def test_a_candidate_that_dies_or_is_told_to_serve_disturbs_nobody(playing: Control, tmp_path: Path) -> None:
    live, shadow = begun(playing, tmp_path, TinyRelease(release=2, seed=7))
    with Asking(playing) as asking:
        compared(shadow, 10)
        shadow.process.kill()
        shadow.wait()
        # Another one is found by itself, and takes over
        again = playing.start(tmp_path / "candidate", window_s=0.2)
        again.hear_of(Ready)
        again.say(Shadow(socket=str(tmp_path / "shadow.sock"), max_cpu_share=4.0))
        compared(again, 10)
        again.say(Serve())
        again.hear_of(Serving)
        assert live.drain() == 0
        goal = asking.answers + 20
        while asking.answers < goal and not asking.failures:
            sleep(0.01)
