"""An accelerator that one process alone can hold: proved in a bounded pause where policy allows one, and never anywhere else."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent.adapters.logbook import Logbook, RecentLog
from agent.adapters.sensors import Sensors
from agent.adapters.trial_process import TrialProcess
from agent.control.deeds import Bench, Deeds
from agent.control.delivery import Installed
from agent.control.worker import Worker
from agent.core.growth import MIB
from agent.errors import CommandError, RefusedCommandError, WorkerError
from contracts.agent_config import RuntimeSection
from contracts.commands import Benchmark, BenchmarkOrder, Golden, GoldenOrder
from contracts.messages import ReleaseRef
from tests.sim.supervised import PATIENCE, Watched, supervised
from tests.sim.tiny_release import MODEL, TinyRelease

BODY = json.dumps({"inputs": [{"name": "image", "shape": [1, 4, 4], "datatype": "UINT8", "data": list(range(16))}]})
# Far more than any pause here takes, on however busy a machine.
PAUSE_S = 120.0


def play_on_one_accelerator(folder: Path, pause_s: float, play: Callable[[Watched, Path], Awaitable[None]]) -> None:
    """Play with the real worker of release 1, on an accelerator that it holds alone."""
    device = folder / "device"
    device.mkdir()
    (device / "exclusive").touch()

    async def run() -> None:
        patience = replace(PATIENCE, memory_bytes=1 << 40, pause_s=pause_s)
        command = (sys.executable, "-m", "tests.sim.accelerator_worker", str(device))
        async with supervised(folder, command, MODEL, patience) as watched:
            watched.supervisor.want(release(folder, 1))
            await watched.until_it_serves()
            await play(watched, device)

    asyncio.run(run())


async def allow(watched: Watched, starts: int) -> float:
    """Allow a pause of so many starts of a worker, as long as each takes on this machine just now; return it in seconds."""
    pause_s = float(max(2 * starts, round(starts * serving(watched).came_up_s)))
    watched.supervisor.refit(replace(PATIENCE, memory_bytes=1 << 40, pause_s=pause_s))
    await watched.until(lambda: watched.supervisor.is_fit)
    return pause_s


def deeds_of(watched: Watched, device: Path) -> Deeds:
    """Return what people may ask of a model on that accelerator."""
    trials = TrialProcess((sys.executable, "-m", "tests.sim.accelerator_trial", str(device)))
    bench = Bench(trials, Sensors(device), RuntimeSection(), 4096 * MIB)
    return Deeds(lambda _model: watched.supervisor, Logbook(RecentLog()), None, bench)


def release(folder: Path, number: int) -> Installed:
    """Return a release of a tiny model, unpacked."""
    path = folder / f"release-{number}"
    manifest = TinyRelease().write(path)
    return Installed(ReleaseRef(model=manifest.name, release=number, manifest_sha256=f"{number:064x}"), path, "cpu")


def dozes(program: str, device: Path) -> bool:
    """Say whether it is this program's load that is slow."""
    return (device / "dozing").exists() and (device / "dozing").read_text() == program


async def ask(watched: Watched) -> int:
    """Have the model compute something; return the status."""
    return (await anyio.to_thread.run_sync(watched.ask, "POST", f"/v2/models/{MODEL}/infer", BODY))[0]


def serving(watched: Watched) -> Worker:
    """Return the worker that serves."""
    assert watched.supervisor.serving is not None
    return watched.supervisor.serving


def test_where_no_pause_is_allowed_a_release_is_refused_by_name_and_the_one_before_serves_undisturbed(tmp_path: Path) -> None:
    async def play(watched: Watched, _: Path) -> None:
        pid = serving(watched).pid
        with pytest.raises(WorkerError, match=r"one process alone holds it.*set update\.max_pause_s to"):
            await watched.supervisor.test(release(tmp_path, 2))
        with pytest.raises(WorkerError, match="one process alone holds it"):
            await watched.supervisor.replace()
        assert serving(watched).pid == pid
        assert await ask(watched) == 200
        assert (watched.crashes, watched.alarms) == ([], [])

    play_on_one_accelerator(tmp_path, 0.0, play)


def test_a_release_is_proved_and_takes_over_in_one_pause_in_which_callers_wait_and_which_is_told(tmp_path: Path) -> None:
    async def play(watched: Watched, _: Path) -> None:
        before, second = serving(watched).pid, release(tmp_path, 2)
        ready = await watched.supervisor.test(second)
        # Given that the new release is proved on the accelerator itself, while nobody serves
        assert ready.golden_passed
        assert ready.provider == "stand-in accelerator"
        assert watched.supervisor.serving is None
        async with anyio.create_task_group() as tasks:
            answers: list[int] = []

            async def call() -> None:
                answers.append(await ask(watched))

            # When somebody calls now, and then it takes over
            tasks.start_soon(call)
            await asyncio.sleep(0.2)
            assert answers == []
            await watched.supervisor.switch()
        # Then the caller was answered, and how long the pause was is told
        assert answers == [200]
        assert serving(watched).installed == second
        assert serving(watched).pid != before
        (told,) = watched.alarms
        assert (told.severity, told.state) == ("info", "resumed")
        assert told.pause_s is not None
        assert 0.2 < told.pause_s < PAUSE_S
        assert (watched.crashes, watched.supervisor.restarts) == ([], 0)
        # And the way back after its probation leads over the same accelerator
        watched.supervisor.want(release(tmp_path, 1))
        await watched.until(lambda: [alarm.state for alarm in watched.alarms] == ["resumed", "resumed"])
        assert serving(watched).installed.release.release == 1
        assert await ask(watched) == 200

    play_on_one_accelerator(tmp_path, PAUSE_S, play)


def test_a_release_that_is_too_slow_for_the_pause_is_ended_and_the_one_before_serves_again(tmp_path: Path) -> None:
    async def play(watched: Watched, device: Path) -> None:
        pause_s = await allow(watched, 4)
        (device / "slow").touch()
        with pytest.raises(WorkerError, match=rf"did not serve within the pause of {pause_s:g} s that update\.max_pause_s allows"):
            await watched.supervisor.test(release(tmp_path, 2))
        (device / "slow").unlink()
        await watched.until_it_serves()
        assert serving(watched).installed.release.release == 1
        assert await ask(watched) == 200
        assert watched.alarms[-1].pause_s is not None

    play_on_one_accelerator(tmp_path, PAUSE_S, play)


def test_a_candidate_that_nobody_lets_take_over_gives_the_accelerator_back_within_the_pause(tmp_path: Path) -> None:
    async def play(watched: Watched, _: Path) -> None:
        await allow(watched, 5)
        await watched.supervisor.test(release(tmp_path, 2))
        await watched.until_it_serves()
        assert serving(watched).installed.release.release == 1
        with pytest.raises(WorkerError, match="expected a tested candidate, found none"):
            await watched.supervisor.switch()

    play_on_one_accelerator(tmp_path, PAUSE_S, play)


def test_where_no_pause_is_allowed_a_trial_is_refused_by_name_and_the_worker_serves_undisturbed(tmp_path: Path) -> None:
    async def play(watched: Watched, device: Path) -> None:
        pid, deeds = serving(watched).pid, deeds_of(watched, device).by_kind
        for order in (GoldenOrder(), BenchmarkOrder(runs=1)):
            with pytest.raises(RefusedCommandError, match=r"one process alone holds it.*set update\.max_pause_s to"):
                await deeds[order.kind].work(order)
        assert serving(watched).pid == pid
        assert (watched.crashes, watched.alarms) == ([], [])

    play_on_one_accelerator(tmp_path, 0.0, play)


def test_trials_of_what_serves_run_on_the_accelerator_itself_one_after_the_other_while_callers_wait(tmp_path: Path) -> None:
    async def play(watched: Watched, device: Path) -> None:
        deeds, found, answers = deeds_of(watched, device).by_kind, list[object](), list[int]()

        async def prove() -> None:
            found.append(await deeds["golden"].work(GoldenOrder()))

        async def call() -> None:
            await watched.until(lambda: watched.supervisor.serving is None)
            answers.append(await ask(watched))

        # When somebody has the release timed, another one has it proved, and a caller comes while nobody serves
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(prove)
            found.append(await deeds["benchmark"].work(BenchmarkOrder(runs=3)))
        # Then both were on the accelerator, the caller was answered, and each pause was told
        timed = next(each for each in found if isinstance(each, Benchmark))
        proved = next(each for each in found if isinstance(each, Golden))
        assert (timed.provider, proved.provider) == ("stand-in accelerator", "stand-in accelerator")
        assert (timed.runs, proved.passed) == (3, True)
        assert answers == [200]
        assert [alarm.state for alarm in watched.alarms] == ["resumed", "resumed"]
        assert serving(watched).ready is not None
        assert (watched.crashes, watched.supervisor.restarts) == ([], 0)

    play_on_one_accelerator(tmp_path, PAUSE_S, play)


def test_a_trial_that_is_too_slow_for_the_pause_is_ended_and_the_worker_serves_again(tmp_path: Path) -> None:
    async def play(watched: Watched, device: Path) -> None:
        pause_s = await allow(watched, 4)
        deeds, before = deeds_of(watched, device).by_kind, serving(watched).pid

        async def mend() -> None:
            # Once the trial was ended, and the worker is on its way back
            await watched.until(lambda: dozes("accelerator_worker.py", device))
            (device / "slow").unlink()

        (device / "slow").touch()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mend)
            with pytest.raises(WorkerError, match=rf"expected an end within .* update\.max_pause_s allows a pause of {pause_s:g} s"):
                await deeds["benchmark"].work(BenchmarkOrder(runs=1))
        assert serving(watched).pid != before
        assert await ask(watched) == 200
        assert watched.crashes == []

    play_on_one_accelerator(tmp_path, PAUSE_S, play)


def test_a_release_that_comes_meanwhile_waits_for_the_trial_and_a_trial_is_refused_while_a_release_is_tested(tmp_path: Path) -> None:
    async def play(watched: Watched, device: Path) -> None:
        deeds = deeds_of(watched, device).by_kind

        async def time_it() -> None:
            await deeds["benchmark"].work(BenchmarkOrder(runs=1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(time_it)
            await watched.until(lambda: watched.supervisor.serving is None)
            ready = await watched.supervisor.test(release(tmp_path, 2))
        assert (ready.golden_passed, ready.provider) == (True, "stand-in accelerator")
        with pytest.raises(CommandError, match="expected a release that serves, found none"):
            await deeds["golden"].work(GoldenOrder())
        await watched.supervisor.switch()
        assert serving(watched).installed.release.release == 2
        assert watched.crashes == []

    play_on_one_accelerator(tmp_path, PAUSE_S, play)
