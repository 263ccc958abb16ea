"""Pages of what lies in the database, on both kinds: charts of points and of sums, a rollout's devices, and what devices are set to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from contracts.configuration import Configuration
from contracts.downlinks import Desired
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.configurations import Revision
from fleet.core.devices import Device
from fleet.core.pages import Key, Part
from fleet.core.rollout.model import Member
from fleet.store.charts import Charts
from fleet.store.configurations import ConfigurationStore
from fleet.store.database import Database
from fleet.store.devices import BATCH
from fleet.store.rollouts import RolloutStore
from fleet.store.settings_pages import SettingsPages
from fleet.store.wishes import WishStore
from fleet.views.settings import DeviceSettings, SettingsState
from tests.fleet.databases import KINDS, new_place
from tests.fleet.test_fleet_store import NOW, admit
from tests.fleet.test_retention import health, save, work
from tests.fleet.test_rollout_store import STARTED, rollout

Item = TypeVar("Item")
# Past every batch, and past what one statement may name.
MANY = 2 * BATCH + 7


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database(new_place(request.param, tmp_path))
    yield opened
    opened.close()


def walked(read: Callable[[Key | None], Part[Item]]) -> list[Item]:
    """Follow a list to its end."""
    found, last = list[Item](), None
    for _ in range(100):
        part = read(last)
        found += part.items
        if part.last is None:
            return found
        last = part.last
    raise AssertionError("a list without an end")


@pytest.mark.parametrize("minutes", [60, 60 * 24, 60 * 24 * 30])
def test_pages_of_charts_hold_each_point_and_each_sum_once_the_newest_first(database: Database, minutes: int) -> None:
    admit(database, Device("pi-1", "rpi5", {}, NOW))
    # Given points of which some have one time, and windows of two models in one span
    times = [NOW - timedelta(seconds=200 * (number // 2)) for number in range(12)]
    save(database, *(health(number, at, cpu=number) for number, at in enumerate(times)))
    told = [work(100 + number, at) for number, at in enumerate(times)]
    refs = [each.release.model_copy(update={"release": 2 + number % 2}) for number, each in enumerate(told)]
    save(database, *(each.model_copy(update={"release": ref}) for each, ref in zip(told, refs, strict=True)))
    charts = Charts(database, lambda: NOW)
    # When they are read in small pages
    points = walked(lambda last: charts.health("pi-1", minutes, 1, last))
    windows = walked(lambda last: charts.inference("pi-1", minutes, 5, last))
    # Then they are what one large page holds
    assert points == list(charts.health("pi-1", minutes, 1000).items)
    assert windows == list(charts.inference("pi-1", minutes, 1000).items)
    assert [point.at for point in points] == sorted((point.at for point in points), reverse=True)
    assert len(points) >= 1
    assert {window.release for window in windows} == {2, 3}


def test_a_rollouts_devices_are_told_by_interest_a_page_at_a_time(database: Database) -> None:
    store = RolloutStore(database)
    phases = [Phase.COMMITTED, Phase.PLANNED, Phase.FETCHING, Phase.ROLLED_BACK, Phase.PLANNED, Phase.CANCELLED]
    begun = rollout(*(f"pi-{number}" for number in range(len(phases))))
    members: dict[str, Member] = {
        device: replace(member, phase=phase) for (device, member), phase in zip(begun.members.items(), phases, strict=True)
    }
    number = store.add(replace(begun, members=members), STARTED)

    pages = [store.by_interest(number, None, start, 2) for start in (0, 2, 4, 6)]

    assert [[member.device for member in page] for page in pages] == [["pi-3", "pi-5"], ["pi-2", "pi-1"], ["pi-4", "pi-0"], []]
    assert [member.device for member in store.by_interest(number, Phase.PLANNED, 1, 2)] == ["pi-4"]


def test_what_devices_are_set_to_is_told_past_every_batch(database: Database) -> None:
    # Given many devices that were set, and one that was not
    names = [f"pi-{number:05d}" for number in range(MANY)]
    for name in [*names, "unset"]:
        admit(database, Device(name, "rpi5", {}, NOW))
    made = Configuration(revision=2, settings={"telemetry.window_s": 5.0})
    ConfigurationStore(database).add_all({name: Revision(made, "anna", NOW) for name in names})
    wishes = WishStore(database)
    no_models: dict[str, ReleaseRef] = {}
    signed = [
        (Desired(device=name, generation=1, issued_at=NOW, expires_at=NOW + timedelta(1), models=no_models, configuration=made), b"{}")
        for name in names
    ]
    wishes.put_all(signed)
    wishes.put_all(signed)  # takes the place of the same ones
    assert set(wishes.of(names)) == set(names)
    pages = SettingsPages(database)

    def all_of(state: SettingsState | None) -> list[DeviceSettings]:
        return walked(lambda last: pages.page(state, 300, "" if last is None else str(last[0])))

    def every_third(after: str, limit: int) -> list[str]:
        return [name for name in names[::3] if name > after][:limit]

    assert [each.device for each in all_of(None)] == names
    assert {(each.state, each.author, each.revision) for each in all_of("waiting")} == {("waiting", "anna", 2)}
    assert all_of("refused") == []
    meant = walked(lambda last: pages.page("waiting", 50, "" if last is None else str(last[0]), every_third))
    assert [each.device for each in meant] == names[::3]
