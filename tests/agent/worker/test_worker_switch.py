"""Two workers on one listening socket: the new one takes over, the old one sees its callers off, and nobody is cut."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import numpy.typing as npt

from agent.client import Client, ClientError
from agent.worker_link import Drain
from tests.sim.control import TOKEN, Address, Control
from tests.sim.raw_http import RawCaller, json_body, request, scores_of, wait_until_nobody_accepts
from tests.sim.tiny_release import MODEL, RAW, SCORES, TinyRelease

OLD, NEW = TinyRelease(release=1, seed=7), TinyRelease(release=2, seed=8)
PICTURES = OLD.pictures(1)


class Hammer:
    """Callers that ask without a pause, each on a connection it keeps; collects every answer and every failure."""

    def __init__(self, addresses: list[str]) -> None:
        self.answers: list[npt.NDArray[np.float32]] = []
        self.failures: list[str] = []
        self._is_over = threading.Event()
        self._callers = [threading.Thread(target=self._call, args=(address,), daemon=True) for address in addresses]

    def __enter__(self) -> Hammer:
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for caller in self._callers:
            caller.join(90)

    def wait_for(self, answers: int) -> None:
        """Wait until so many more answers have come."""
        goal, deadline = len(self.answers) + answers, monotonic() + 90
        while len(self.answers) < goal and monotonic() < deadline:
            sleep(0.01)
        assert len(self.answers) >= goal, self.failures

    def _call(self, address: str) -> None:
        with Client(address, "" if address.startswith("/") else TOKEN) as client:
            while not self._is_over.is_set():
                self._ask(client)

    def _ask(self, client: Client) -> None:
        try:
            self.answers.append(client.infer(MODEL, {RAW.name: PICTURES})[SCORES.name])
        except ClientError as error:
            self.failures.append(str(error))


def addresses(address: Address) -> list[str]:
    return [f"http://{address.url}"] * 3 + [str(address.unix_path)] * 3


def test_no_request_fails_while_one_release_takes_over_from_another(playing: Control, tmp_path: Path) -> None:
    OLD.write(tmp_path / "old")
    NEW.write(tmp_path / "new")
    old = playing.start(tmp_path / "old")
    old.start_serving()

    with Hammer(addresses(playing.address)) as hammer:
        hammer.wait_for(100)
        new = playing.start(tmp_path / "new")
        new.start_serving()
        status = old.drain(deadline_s=10.0)
        hammer.wait_for(100)

    assert hammer.failures == []
    assert status == 0
    np.testing.assert_allclose(hammer.answers[0], OLD.scores(PICTURES), atol=1e-5)
    np.testing.assert_allclose(hammer.answers[-1], NEW.scores(PICTURES), atol=1e-5)


def test_an_idle_connection_is_ended_by_the_response_to_its_next_request(playing: Control, tmp_path: Path) -> None:
    OLD.write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()
    with RawCaller(playing.address.port) as caller:
        caller.send(request(body=json_body(PICTURES)))
        assert not caller.answer().ends_connection

        worker.say(Drain(deadline_s=20.0))
        wait_until_nobody_accepts(playing.address.port)
        caller.send(request(body=json_body(PICTURES)) * 3)
        answers = [caller.answer() for _ in range(3)]

        assert [answer.ends_connection for answer in answers] == [False, False, True]
        np.testing.assert_allclose(scores_of(answers[2]), OLD.scores(PICTURES), atol=1e-5)
        assert caller.is_at_end()
    assert worker.wait() == 0


def test_a_caller_who_stays_silent_is_let_go_at_the_deadline(playing: Control, tmp_path: Path) -> None:
    OLD.write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()
    with RawCaller(playing.address.port) as caller:
        caller.send(request(body=json_body(PICTURES)))
        caller.answer()

        assert worker.drain(deadline_s=0.5) == 0
        assert caller.is_at_end()


def test_what_is_under_way_when_the_drain_begins_is_answered(playing: Control, tmp_path: Path) -> None:
    slow = TinyRelease(ballast=3000)
    slow.write(tmp_path / "release")
    worker = playing.start(tmp_path / "release")
    worker.start_serving()
    pictures = np.repeat(PICTURES, 8, axis=0)
    with RawCaller(playing.address.port) as first, RawCaller(playing.address.port) as second:
        for caller in (first, second):
            caller.send(request("/v2/health/live", method="GET"))
            caller.answer()
            caller.send(request(body=json_body(pictures)))

        assert worker.drain(deadline_s=30.0) == 0

        for caller in (first, second):
            answer = caller.answer()
            assert answer.ends_connection
            np.testing.assert_allclose(scores_of(answer), slow.scores(pictures), atol=1e-5)
