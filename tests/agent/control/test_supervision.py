"""A worker may do what it likes: the supervisor ends it by name, starts another one, and says so once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent.control.delivery import Installed
from agent.control.worker import Ears, Worker
from agent.errors import GoldenSetError, WorkerError
from agent.worker_link import Line, WorkerLine
from tests.sim.supervised import PATIENCE, Watched, installed_stand_in, stand_in, supervised
from tests.sim.tiny_release import MODEL, TinyRelease


def supervise(folder: Path, behaviours: str, play: Callable[[Watched], Awaitable[None]]) -> None:
    """Play with a model whose workers behave like this, one after the other."""

    async def run() -> None:
        async with supervised(folder, stand_in(behaviours)) as watched:
            watched.supervisor.want(installed_stand_in(folder / "release"))
            await play(watched)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("crash", "it ended with exit status 70"),
        ("failed", "the stand-in was told to fail"),
        ("golden", "golden set"),
        ("hang", "it hung: no sign of life in 2 s"),
        ("stuck", "it hung: an inference took longer than 5 s"),
        ("heavy", "memory: expected at most 100 MiB, found 200 MiB"),
        ("garbage", "its link: expected a line of a worker, found b'\\x00 this is no"),
        ("long", "its link: expected lines of at most"),
        ("half", "it hung: no sign of life"),
        ("flood", "it flooded its link"),
        ("deaf", "it did not serve in 3 s"),
    ],
)
def test_a_worker_that_goes_wrong_is_ended_by_name_and_another_one_serves(tmp_path: Path, behaviour: str, reason: str) -> None:
    async def play(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.crashes))
        await watched.until(lambda: [alarm.state for alarm in watched.alarms] == ["down", "up"])
        assert reason in watched.crashes[0]
        assert reason in watched.alarms[0].text
        assert [alarm.severity for alarm in watched.alarms] == ["error", "info"]
        assert await anyio.to_thread.run_sync(watched.ask) == (200, "1")
        assert len(watched.crashes) == 1

    supervise(tmp_path, f"{behaviour} good", play)


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "it ended with signal 9"), (signal.SIGSTOP, "no sign of life")])
def test_a_worker_that_is_killed_or_stopped_from_outside_is_replaced(tmp_path: Path, number: signal.Signals, reason: str) -> None:
    async def play(watched: Watched) -> None:
        await watched.until_it_serves()
        first = watched.supervisor.serving
        assert first is not None
        os.kill(first.pid, number)
        await watched.until(lambda: watched.supervisor.restarts == 1)
        await watched.until_it_serves()
        assert reason in watched.crashes[0]
        assert watched.supervisor.serving is not None
        assert watched.supervisor.serving.pid != first.pid

    supervise(tmp_path, "good", play)


def test_a_worker_that_takes_too_much_is_replaced_and_no_request_fails(tmp_path: Path) -> None:
    async def play(watched: Watched) -> None:
        await watched.until_it_serves()
        answers = []
        while [alarm.state for alarm in watched.alarms] != ["tired", "up"]:
            answers.append(await anyio.to_thread.run_sync(watched.ask))
        answers.append(await anyio.to_thread.run_sync(watched.ask))
        assert set(answers) == {(200, "1")}
        assert watched.alarms[0].text == "is being replaced: memory: expected at most 100 MiB, found 120 MiB"
        assert watched.crashes == []

    supervise(tmp_path, "fat good", play)


def test_a_worker_whose_replacement_fails_serves_on(tmp_path: Path) -> None:
    async def play(watched: Watched) -> None:
        await watched.until(lambda: len(watched.alarms) >= 2)
        assert "serves on, because its replacement failed: the stand-in was told to fail" in watched.alarms[1].text
        assert await anyio.to_thread.run_sync(watched.ask) == (200, "1")
        assert watched.crashes == []

    supervise(tmp_path, "fat failed", play)


def test_a_golden_set_that_fails_once_the_worker_serves_is_told(tmp_path: Path) -> None:
    async def play(watched: Watched) -> None:
        await watched.until_it_serves()
        worker = watched.supervisor.serving
        assert worker is not None
        with pytest.raises(GoldenSetError, match="told to fail"):
            await worker.prove()
        assert watched.supervisor.state == "serving"

    supervise(tmp_path, "unproven", play)


def test_a_program_that_is_not_there_is_told_and_takes_nothing_down(tmp_path: Path) -> None:
    async def run() -> None:
        async with supervised(tmp_path, (str(tmp_path / "nowhere"),)) as watched:
            watched.supervisor.want(installed_stand_in(tmp_path / "release"))
            await watched.until(lambda: len(watched.crashes) >= 2)
            assert watched.supervisor.state == "starting"
            assert watched.alarms[0].severity == "error"

    asyncio.run(run())


class Immortal:
    """A process that a driver holds in the kernel: not even SIGKILL ends it."""

    pid = 1

    async def send(self, line: Line) -> None:
        """Take a line."""

    async def receive(self) -> WorkerLine | None:
        """Say nothing right."""
        raise WorkerError("it sent no line of the link")

    async def wait(self) -> str:
        """Never end."""
        await asyncio.sleep(3600)
        return ""

    def kill(self) -> None:
        """Do not mind."""


def test_a_process_that_not_even_sigkill_ends_is_waited_for_no_longer_than_allowed(tmp_path: Path) -> None:
    async def run() -> None:
        patience = replace(PATIENCE, serving_s=0.1, killed_s=0.1)
        worker = Worker(
            installed_stand_in(tmp_path), Immortal(), patience, Ears(lambda _window: None, lambda _worker: None, lambda _part: None)
        )
        with anyio.fail_after(60):
            await worker.run()
        assert worker.has_ended

    asyncio.run(run())


def with_accelerator(folder: Path, play: Callable[[Watched, Path], Awaitable[None]]) -> None:
    """Play with the real worker, on an accelerator that is a folder."""
    device = folder / "device"
    device.mkdir()
    manifest = TinyRelease().write(folder / "release")
    installed = Installed(installed_stand_in(folder / "other").release.model_copy(update={"model": MODEL}), folder / "release", "cpu")
    assert manifest.name == MODEL

    async def run() -> None:
        patience = replace(PATIENCE, inference_s=3, memory_bytes=1 << 40)
        async with supervised(folder, (sys.executable, "-m", "tests.sim.accelerator_worker", str(device)), MODEL, patience) as watched:
            watched.supervisor.want(installed)
            await watched.until_it_serves()
            await play(watched, device)

    asyncio.run(run())


BODY = json.dumps({"inputs": [{"name": "image", "shape": [1, 4, 4], "datatype": "UINT8", "data": list(range(16))}]})


def test_an_accelerator_that_is_unplugged_is_named_and_serves_again_when_it_is_back(tmp_path: Path) -> None:
    async def play(watched: Watched, device: Path) -> None:
        def ask() -> int:
            return watched.ask("POST", f"/v2/models/{MODEL}/infer", BODY)[0]

        assert await anyio.to_thread.run_sync(ask) == 200
        (device / "unplugged").touch()
        assert await anyio.to_thread.run_sync(ask) == 500
        await watched.until(lambda: len(watched.crashes) >= 3)
        assert "stand-in accelerator is lost" in watched.crashes[0]
        assert "no device" in watched.crashes[1]
        assert watched.supervisor.state == "restarting"
        (device / "unplugged").unlink()
        # Callers wait in the sockets' queue until somebody serves again.
        assert await anyio.to_thread.run_sync(ask) == 200

    with_accelerator(tmp_path, play)


def test_an_inference_that_never_ends_is_noticed_although_the_workers_loop_turns(tmp_path: Path) -> None:
    async def play(watched: Watched, device: Path) -> None:
        (device / "stuck").touch()
        with pytest.raises(OSError, match=r".*"):
            await anyio.to_thread.run_sync(lambda: watched.ask("POST", f"/v2/models/{MODEL}/infer", BODY))
        (device / "stuck").unlink()
        await watched.until(lambda: bool(watched.crashes))
        # Than it took in the golden test, too, on a machine that was busy then
        assert [crash.rpartition(" than ")[0] for crash in watched.crashes] == ["it hung: an inference took longer"]
        await watched.until_it_serves()
        assert (await anyio.to_thread.run_sync(lambda: watched.ask("POST", f"/v2/models/{MODEL}/infer", BODY)))[0] == 200

    with_accelerator(tmp_path, play)
