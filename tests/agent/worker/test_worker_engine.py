"""The engine's thread: order, bounds, and what a fault or a bug does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from functools import partial

import pytest

from agent.runtimes.errors import InferenceError
from agent.worker.engine import Engine
from agent.worker.errors import OverloadedError
from tests.sim.control import ROOT

TIMEOUT_S = 10.0


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
    deadline = time.monotonic() + 10
    while engine.is_alive and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    print(engine.is_alive)

asyncio.run(scenario())
"""

    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout == "False\n"
    assert "ZeroDivisionError" in ended.stderr
