"""A release on probation is watched through the very supervisor that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import anyio
import pytest

from agent.control.probation import Probation
from agent.core.probation import Heat, Limits
from agent.errors import ProbationError
from contracts.messages import InferenceWindow, Latency, ReleaseRef
from tests.sim.releases import make_release
from tests.sim.supervised import Watched, installed_stand_in, stand_in, supervised
from tests.sim.thermometer import ToldThermometer

COOL = Heat(40.0, is_throttled=False)
BEFORE = make_release(7).ref
NOW = make_release(1, size=100).ref


def window(release: ReleaseRef, p95_ms: float, *, requests: int = 200, errors: int = 0) -> InferenceWindow:
    """Return what a worker of a release tells."""
    now = datetime.now(timezone.utc)
    latency = Latency(mean=1, p50=1, p95=p95_ms, p99=p95_ms, max=p95_ms)
    return InferenceWindow(
        session="0" * 16, sequence=0, sent_at=now, release=release, started_at=now, window_s=1, requests=requests, errors=errors,
        latency_ms=latency,
    )  # fmt: skip


def watch(folder: Path, behaviours: str, *, told: tuple[InferenceWindow, ...] = (), heats: Iterator[Heat] | None = None) -> Watched:
    """Put a stand-in on a probation of a second, in which its worker tells this; raise what the probation raises."""

    async def run() -> Watched:
        async with supervised(folder, stand_in(behaviours)) as watched:
            ledger = watched.supervisor.ledger
            ledger.note(window(BEFORE, 10.0))
            watched.supervisor.want(installed_stand_in(folder / "release"))
            await watched.until_it_serves()
            probation = Probation(watched.supervisor, ToldThermometer(COOL, heats), Limits(), 1.0)
            failed: list[ProbationError] = []

            async def pass_probation() -> None:
                try:
                    await probation.watch(NOW, BEFORE)
                except ProbationError as error:
                    failed.append(error)

            with anyio.fail_after(120):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(pass_probation)
                    await asyncio.sleep(0.1)
                    for each in told:
                        ledger.note(each)
        if failed:
            raise failed[0]
        return watched

    return asyncio.run(run())


def test_a_release_that_nobody_asks_is_fit_when_its_golden_set_still_passes(tmp_path: Path) -> None:
    assert watch(tmp_path, "good").crashes == []


def test_a_release_that_nobody_asks_is_unfit_when_its_golden_set_fails_now(tmp_path: Path) -> None:
    with pytest.raises(ProbationError, match=r"probation: golden: .*told to fail"):
        watch(tmp_path, "unproven")


def test_a_release_that_is_asked_enough_is_not_asked_to_prove_itself_again(tmp_path: Path) -> None:
    watch(tmp_path, "unproven", told=(window(NOW, 11.0),))


@pytest.mark.parametrize(
    ("told", "name"),
    [(window(NOW, 30.0), "latency"), (window(NOW, 10.0, errors=60), "errors")],
)
def test_a_release_that_does_worse_than_the_one_before_it_is_unfit(tmp_path: Path, told: InferenceWindow, name: str) -> None:
    with pytest.raises(ProbationError, match=f"probation: {name}: expected") as raised:
        watch(tmp_path, "good", told=(told,))
    assert raised.value.name == name


def test_a_release_that_makes_the_device_hot_is_unfit(tmp_path: Path) -> None:
    heats = iter([Heat(45.0, is_throttled=False), *(Heat(80.0, is_throttled=False) for _ in range(3))])
    with pytest.raises(ProbationError, match="probation: temperature: expected at most 65 C"):
        watch(tmp_path, "good", heats=heats)


def test_a_release_that_crashed_once_and_then_serves_is_fit(tmp_path: Path) -> None:
    assert len(watch(tmp_path, "crash good").crashes) == 1
