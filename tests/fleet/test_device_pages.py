"""Pages of devices as the API writes them: the very same values as the views, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from sqlalchemy import update

from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, Machine, ModelReport, Outcome, ReleaseRef, Reported, WorkerHealth
from fleet.core.devices import Device
from fleet.core.freshness import Heard
from fleet.store.database import Database
from fleet.store.device_pages import DevicePages
from fleet.store.devices import DeviceStore
from fleet.store.reader import StoreReader
from fleet.store.tables import devices
from fleet.store.uplinks import UplinkStore
from fleet.views.devices import DeviceSummary
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
RELEASE = ReleaseRef(model="digits", release=3, manifest_sha256="3" * 64)
SUMMARIES: TypeAdapter[tuple[DeviceSummary, ...]] = TypeAdapter(tuple[DeviceSummary, ...])
MACHINE = Machine(architecture="aarch64", system="Linux ü", python="3.11", cpu_count=4, memory_bytes=8 << 30, disk_bytes=32 << 30)


def words(device: str, *, online: bool = True, phase: Phase = Phase.COMMITTED, hot: bool = False) -> Iterator[Heard]:
    """Yield all that a device says."""
    stamp = {"session": "a" * 16, "sent_at": NOW}
    birth = Birth(
        **stamp, sequence=1, online=online, agent_version="0.2.0", hardware="rpi5", targets=("rpi5",), runtimes={}, machine=MACHINE
    )  # fmt: skip
    ended = Outcome(release=RELEASE, result=Phase.ROLLED_BACK, reason='wrong "answers"\n', at=NOW)
    report = ModelReport(phase=phase, current=RELEASE, last=ended, target="rpi5")
    health = Health(
        **stamp, sequence=3, uptime_s=1, cpu_percent=20.5, memory_used_bytes=1, memory_total_bytes=2, disk_free_bytes=9 << 30,
        disk_total_bytes=32 << 30, temperature_c=90.0 if hot else None, is_undervolted=None,
        workers={"digits": WorkerHealth(state="serving", restarts=0, rss_bytes=1)},
    )  # fmt: skip
    yield Heard(device, "birth", birth, NOW)
    yield Heard(device, "reported", Reported(**stamp, sequence=2, generation=1, models={"digits": report}), NOW)
    yield Heard(device, "health", health, NOW)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fleet in which each status occurs."""
    opened = Database(new_place(request.param, tmp_path))
    names = ("committed", "fetching", "gone", "hot", "lost", "new", "revoked")
    DeviceStore(opened).add_simulated([Device(name, "rpi5", {"simulated": "yes", "room": "é"}, NOW) for name in names])
    said = [
        *words("committed"),
        *words("fetching", phase=Phase.FETCHING),
        *words("gone", online=False),
        *words("hot", hot=True),
        *words("lost", phase=Phase.ROLLED_BACK),
        *words("revoked"),
    ]
    UplinkStore(opened, timedelta(days=30)).save(said)
    with opened.writing() as connection:
        connection.execute(update(devices).where(devices.c.id == "revoked").values(revoked_at=NOW))
    yield opened
    opened.close()


def test_a_page_holds_the_same_values_as_the_views(database: Database) -> None:
    views = StoreReader(database, lambda: NOW).devices()

    page = DevicePages(database, lambda: NOW).following("", 100)

    assert SUMMARIES.validate_json(page.items) == views
    assert {view.status for view in views} == {"healthy", "updating", "degraded", "offline", "new"}
    assert page.last is None


def test_pages_follow_each_other_by_the_last_device(database: Database) -> None:
    pages = DevicePages(database, lambda: NOW)

    found, after = [], ""
    while True:
        page = pages.following(after, 3)
        found.append([view.id for view in SUMMARIES.validate_json(page.items)])
        if page.last is None:
            break
        after = page.last

    assert found == [["committed", "fetching", "gone"], ["hot", "lost", "new"], ["revoked"]]


def test_a_page_of_named_devices_leaves_those_out_that_are_gone(database: Database) -> None:
    page = DevicePages(database, lambda: NOW).named(("gone", "nobody", "hot", "lost"), 3)

    assert [view.id for view in SUMMARIES.validate_json(page.items)] == ["gone", "hot"]
    assert page.last == "hot"
