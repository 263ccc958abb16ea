"""How often the fleet is asked, however many pages are open."""

from __future__ import annotations

import asyncio
from threading import get_ident

import pytest

from fleet.dashboard.feed import Feed, Shared
from fleet.errors.devices import UnknownDeviceError
from fleet.views.device_details import DeviceDetail
from fleet.views.devices import DeviceSummary
from tests.sim.fleet_desks import PlayedServices
from tests.sim.fleet_reader import MovingFleet


class Counting:
    """Says how often it was asked, after a while by its own clock."""

    def __init__(self, takes_s: float) -> None:
        self.times = 0
        self.now_s = 0.0
        self.threads = set[int]()
        self._takes_s = takes_s

    def __call__(self) -> int:
        self.now_s += self._takes_s
        self.threads.add(get_ident())
        self.times += 1
        return self.times


class CountingFleet(MovingFleet):
    """A fleet that remembers what was read of it."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.ids = [device.id for device in super().devices(limit=count)]
        self.named_devices = self.looks = 0

    def named(self, ids: tuple[str, ...]) -> tuple[DeviceSummary, ...]:
        self.named_devices += len(ids)
        return super().named(ids)

    def device(self, device: str) -> DeviceDetail:
        self.looks += 1
        return super().device(device)


def test_all_who_ask_at_once_share_one_answer() -> None:
    counting = Counting(0.0)
    shared = Shared(counting, clock=lambda: counting.now_s)

    async def ask() -> list[int]:
        return await asyncio.gather(*(shared.get() for _ in range(20)))

    assert asyncio.run(ask()) == [1] * 20
    assert get_ident() not in counting.threads, "the answer was read on the event loop's own thread"


def test_an_answer_that_took_long_is_kept_longer_than_a_quick_one() -> None:
    async def ask_again_a_moment_later(counting: Counting) -> int:
        shared = Shared(counting, fresh_s=0.0, clock=lambda: counting.now_s)
        await shared.get()
        counting.now_s += 0.1
        return await shared.get()

    assert asyncio.run(ask_again_a_moment_later(Counting(0.0))) == 2
    assert asyncio.run(ask_again_a_moment_later(Counting(0.5))) == 1


def test_a_page_of_the_list_is_all_that_is_read_of_a_large_fleet() -> None:
    fleet = CountingFleet(10_000)
    page = asyncio.run(Feed(PlayedServices(fleet)).devices("all", "-id", 20, 10))
    assert ([device.id for device in page.devices], page.total) == (sorted(fleet.ids, reverse=True)[20:30], 10_000)
    assert fleet.named_devices == 10


def test_what_was_changed_here_is_looked_at_anew() -> None:
    async def look_twice(is_changed: bool) -> int:
        fleet = CountingFleet(3)
        feed = Feed(PlayedServices(fleet), clock=lambda: 0.0)
        await feed.device("rpi5-0000")
        if is_changed:
            feed.changed(device="rpi5-0000")
        before = fleet.looks
        await feed.device("rpi5-0000")
        return fleet.looks - before

    assert (asyncio.run(look_twice(False)), asyncio.run(look_twice(True))) == (0, 1)


def test_an_error_is_told_to_those_who_asked_and_not_kept() -> None:
    feed = Feed(PlayedServices(MovingFleet(3)))
    for _ in range(2):
        with pytest.raises(UnknownDeviceError):
            asyncio.run(feed.device("nobody"))
