"""What time does to an update: it is told in small pieces, forgotten at progress, and makes a release that stays up steady."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import anyio

from agent.control.clock import Clock
from agent.control.workbench import Workbench
from agent.core.update import STEADY_S, Do, Effect, Steady, Update, Waited
from agent.core.update.waiting import NOTES
from contracts.lifecycle import DEADLINES, Phase
from contracts.messages import ReleaseRef

ONE, TWO = (ReleaseRef(model="digits", release=number, manifest_sha256=f"{number:064x}") for number in (1, 2))
FETCHING = Update(phase=Phase.FETCHING, wish=ONE, candidate=ONE)
TICK_S = DEADLINES[Phase.FETCHING].after_s / NOTES


class Hand(asyncio.SelectorEventLoop):
    """An event loop whose clock is moved by hand."""

    now_s = 1000.0

    def time(self) -> float:
        """Return what the test has set."""
        return self.now_s


def with_hand(test: Callable[[Hand], None]) -> None:
    """Run a test that moves the clock."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Hand)
        test(loop)

    loop = Hand()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


def test_a_wait_is_told_in_pieces_and_what_was_told_is_not_told_again() -> None:
    def test(hand: Hand) -> None:
        clock = Clock(probation_s=30)
        clock.begin(Phase.FETCHING)
        assert clock.pause_s(FETCHING) == TICK_S
        hand.now_s += TICK_S / 2
        assert clock.due(FETCHING, None) is None
        hand.now_s += TICK_S
        assert clock.due(FETCHING, None) == Waited(1.5 * TICK_S)
        assert clock.due(FETCHING, None) is None

    with_hand(test)


def test_progress_forgets_what_was_waited_and_not_yet_told() -> None:
    def test(hand: Hand) -> None:
        clock = Clock(probation_s=30)
        clock.begin(Phase.FETCHING)
        hand.now_s += TICK_S
        clock.renew()
        assert clock.due(FETCHING, None) is None
        assert clock.pause_s(FETCHING) == TICK_S

    with_hand(test)


def test_in_probation_time_counts_from_its_configured_end_on() -> None:
    def test(hand: Hand) -> None:
        update, clock = Update(phase=Phase.PROBATION, wish=ONE, candidate=ONE), Clock(probation_s=3600)
        clock.begin(Phase.PROBATION)
        hand.now_s += 3600
        assert clock.due(update, ONE) is None
        hand.now_s += 100
        assert clock.due(update, ONE) == Waited(100)

    with_hand(test)


def test_a_machine_that_waits_for_nothing_never_wakes() -> None:
    def test(hand: Hand) -> None:
        clock = Clock(probation_s=30)
        clock.begin(Phase.COMMITTED)
        update = Update(phase=Phase.COMMITTED, wish=ONE, current=ONE, good=ONE)
        assert clock.pause_s(update) == float("inf")
        hand.now_s += 1e9
        assert clock.due(update, ONE) is None

    with_hand(test)


def test_only_a_release_that_served_for_long_without_a_crash_is_steady() -> None:
    def test(hand: Hand) -> None:
        update, clock = Update(phase=Phase.COMMITTED, wish=TWO, current=TWO, previous=ONE, good=ONE), Clock(probation_s=30)
        clock.begin(Phase.COMMITTED)
        disturbances: tuple[Callable[[], object], ...] = (clock.disturb, partial(clock.due, update, None), lambda: None)
        for disturbance in disturbances:
            assert clock.pause_s(update) <= STEADY_S
            assert clock.due(update, TWO) is None
            hand.now_s += STEADY_S - 1
            assert clock.due(update, TWO) is None
            disturbance()
        hand.now_s += 1
        assert clock.due(update, TWO) == Steady(TWO)

    with_hand(test)


def test_work_that_waits_for_its_turn_is_not_begun_once_the_machine_has_moved_on() -> None:
    async def run() -> list[Do]:
        done: list[Do] = []
        may_end = asyncio.Event()

        async def slow(_: ReleaseRef) -> None:
            await may_end.wait()
            done.append(Do.DISCARD)

        async def endless(_: ReleaseRef) -> None:
            done.append(Do.FETCH)
            await asyncio.Event().wait()

        bench = Workbench("digits", {Do.DISCARD: slow, Do.FETCH: endless})
        async with anyio.create_task_group() as tasks:
            # Given an end that is being cleared away, after which a download would follow
            bench.begin(tasks, [Effect(Do.DISCARD, ONE), Effect(Do.FETCH, TWO)])
            await asyncio.sleep(0)
            # When the machine moves on meanwhile
            tasks.start_soon(bench.clear)
            await asyncio.sleep(0)
            may_end.set()
        # Then what must not stop half way has come to its end, and the download is not begun
        assert done == [Do.DISCARD]
        # And work that is of no use any more ends at once
        async with anyio.create_task_group() as tasks:
            bench.begin(tasks, [Effect(Do.FETCH, TWO)])
            await asyncio.sleep(0)
            await bench.clear()
        return done

    assert asyncio.run(asyncio.wait_for(run(), 120)) == [Do.DISCARD, Do.FETCH]
