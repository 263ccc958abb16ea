"""The engine's thread: order, bounds, and what a fault or a bug does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic

import pytest

from agent.runtimes.errors import InferenceError
from agent.worker.engine import Engine
from agent.worker.errors import OverloadedError
from tests.sim.control import ROOT

TIMEOUT_S = 60.0


def engine(max_waiting: int = 4) -> Engine:
    return Engine(asyncio.get_running_loop(), max_waiting)


def fail() -> None:
    raise InferenceError("onnx", "a bad sample")


def test_work_is_done_in_order_by_one_thread_while_the_loop_turns() -> None:
    async def scenario() -> None:
        running, gate, threads = engine(), threading.Event(), set()

        def work(number: int) -> int:
            threads.add(threading.get_ident())
            assert gate.wait(TIMEOUT_S)
            return number

        waiting = [asyncio.create_task(running.run(partial(work, number))) for number in range(3)]
        await asyncio.sleep(0.01)
        assert running.in_flight == 3
        gate.set()

        assert await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT_S) == [0, 1, 2]
        assert len(threads) == 1
        assert threads != {threading.get_ident()}
        assert running.in_flight == 0

    asyncio.run(scenario())


def test_more_work_than_may_wait_is_refused_and_room_comes_back() -> None:
    async def scenario() -> None:
        running, gate = engine(max_waiting=2), threading.Event()
        waiting = [asyncio.create_task(running.run(lambda: gate.wait(TIMEOUT_S))) for _ in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(OverloadedError, match="at most 2 requests"):
            running.submit(lambda: None, lambda _: None)
        gate.set()
        await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT_S)

        assert await asyncio.wait_for(running.run(lambda: "room"), TIMEOUT_S) == "room"

    asyncio.run(scenario())


def test_a_fault_belongs_to_its_request_alone() -> None:
    async def scenario() -> None:
        running = engine()

        with pytest.raises(InferenceError, match="a bad sample"):
            await asyncio.wait_for(running.run(fail), TIMEOUT_S)

        assert await asyncio.wait_for(running.run(lambda: 5), TIMEOUT_S) == 5

    asyncio.run(scenario())


def test_a_bug_prints_its_traceback_and_ends_the_thread() -> None:
    program = """
import asyncio, time
from agent.worker.engine import Engine

async def scenario():
    engine = Engine(asyncio.get_running_loop(), 4)
    assert engine.is_alive
    engine.submit(lambda: 1 // 0, print)
    deadline = time.monotonic() + 60
    while engine.is_alive and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    print(engine.is_alive)

asyncio.run(scenario())
"""

    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)

    assert ended.stdout == "False\n"
    assert "ZeroDivisionError" in ended.stderr


def test_an_offer_stands_back_for_everybody_who_submits_and_gives_way_to_a_newer_one() -> None:
    async def scenario() -> None:
        running, gate, done = engine(), threading.Event(), list[str]()
        busy = asyncio.create_task(running.run(lambda: gate.wait(TIMEOUT_S)))
        await asyncio.sleep(0)

        was_dropped = [running.offer(lambda: "old", lambda _: done.append("old"))]
        was_dropped.append(running.offer(lambda: "new", lambda _: done.append("new")))
        callers = [asyncio.create_task(running.run(lambda: done.append("caller"))) for _ in range(3)]
        await asyncio.sleep(0)
        assert running.in_flight == 4  # an offer takes nobody's place
        gate.set()
        await asyncio.wait_for(asyncio.gather(busy, *callers), TIMEOUT_S)
        await until(lambda: "new" in done)

        assert was_dropped == [False, True]
        assert done == ["caller", "caller", "caller", "new"]
        assert running.in_flight == 0

    asyncio.run(scenario())


def test_an_offer_is_taken_at_once_by_an_engine_at_rest_and_its_fault_is_handed_on() -> None:
    async def scenario() -> None:
        running, outcomes = engine(), list[object]()

        for _ in range(100):
            assert not running.offer(fail, outcomes.append)
            await until(partial(is_longer, outcomes, len(outcomes)))

        assert len(outcomes) == 100
        assert all(isinstance(outcome, InferenceError) for outcome in outcomes)
        assert running.is_alive

    asyncio.run(scenario())


def is_longer(found: list[object], than: int) -> bool:
    return len(found) > than


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end_s = monotonic() + TIMEOUT_S
    while not is_so():
        assert monotonic() < end_s, "it did not come true in time"
        await asyncio.sleep(0.001)
