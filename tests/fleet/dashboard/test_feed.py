"""How often the fleet is asked, however many pages are open."""

from __future__ import annotations

import asyncio
import time
from threading import get_ident

import pytest

from fleet.dashboard.feed import MAX_DEVICES, Feed, Shared
from fleet.errors.devices import UnknownDeviceError
from tests.sim.fleet_reader import MovingFleet


class Counting:
    """Says how often it was asked, after a while."""

    def __init__(self, takes_s: float) -> None:
        self.times = 0
        self.threads = set[int]()
        self._takes_s = takes_s

    def __call__(self) -> int:
        time.sleep(self._takes_s)
        self.threads.add(get_ident())
        self.times += 1
        return self.times


def test_all_who_ask_at_once_share_one_answer() -> None:
    counting = Counting(0.0)
    shared = Shared(counting)

    async def ask() -> list[int]:
        return await asyncio.gather(*(shared.get() for _ in range(20)))

    assert asyncio.run(ask()) == [1] * 20
    assert get_ident() not in counting.threads, "the answer was read on the event loop's own thread"


def test_an_answer_that_took_long_is_kept_longer_than_a_quick_one() -> None:
    async def ask_again_a_moment_later(counting: Counting) -> int:
        shared = Shared(counting, fresh_s=0.0)
        await shared.get()
        await asyncio.sleep(0.1)
        return await shared.get()

    assert asyncio.run(ask_again_a_moment_later(Counting(0.0))) == 2
    assert asyncio.run(ask_again_a_moment_later(Counting(0.5))) == 1


def test_all_devices_are_read_page_by_page_up_to_the_bound() -> None:
    assert len(asyncio.run(Feed(MovingFleet(1203)).devices.get())) == 1203
    assert len(asyncio.run(Feed(MovingFleet(MAX_DEVICES + 700)).devices.get())) == MAX_DEVICES


def test_an_error_is_told_to_those_who_asked_and_not_kept() -> None:
    feed = Feed(MovingFleet(3))
    for _ in range(2):
        with pytest.raises(UnknownDeviceError):
            asyncio.run(feed.device("nobody"))
