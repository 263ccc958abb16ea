"""What the dashboard reads of ten thousand devices: as many statements as for ten, and one page of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.devices import Device
from fleet.core.labels import SIMULATED
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.plan import Plan
from fleet.dashboard.feed import DEVICES_PER_PAGE, Feed
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.groups import GroupStore
from fleet.store.reader import StoreReader
from fleet.store.rollouts import RolloutStore
from fleet.store.roster import Roster
from fleet.targeting import Targeting
from tests.sim.fleet_desks import Idle, PlayedServices
from tests.sim.fleet_reader import MovingFleet

NOW = datetime.now(timezone.utc)
REF = ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64)
# To look anew at who said something, and for a page: its devices, and their birth, report and health.
MAX_STATEMENTS = 16


class StoredServices(PlayedServices):
    """The reader and the targeting of a real server, over a database."""

    def __init__(self, database: Database) -> None:
        super().__init__(MovingFleet(0))
        self.reader = StoreReader(database, lambda: datetime.now(timezone.utc))
        self.targeting = Targeting(Roster(database), GroupStore(database), Idle())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "fleet.db")
    yield opened
    opened.close()


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield what any database is asked meanwhile."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def filled(database: Database, count: int) -> None:
    store = DeviceStore(database)
    for first in range(0, count, 1000):
        names = [f"pi-{number:05d}" for number in range(first, min(first + 1000, count))]
        store.add_simulated([Device(name, "rpi5", SIMULATED, NOW) for name in names])


@pytest.mark.parametrize("count", [60, 10_000])
def test_a_page_of_the_list_costs_a_few_statements_however_large_the_fleet_is(database: Database, count: int) -> None:
    filled(database, count)
    feed = Feed(StoredServices(database))
    first = asyncio.run(feed.devices("hw = rpi5", "id", 0))
    with statements() as asked:
        page = asyncio.run(feed.devices("hw = rpi5", "-id", 0))
    assert (len(first.devices), len(page.devices), page.total) == (DEVICES_PER_PAGE, DEVICES_PER_PAGE, count)
    assert page.devices[0].id == f"pi-{count - 1:05d}"
    assert 0 < len(asked) <= MAX_STATEMENTS, asked


def test_many_readers_of_one_page_ask_once_and_a_page_that_nobody_reads_asks_nothing(database: Database) -> None:
    filled(database, 60)
    feed = Feed(StoredServices(database), clock=lambda: 0.0)

    async def look() -> int:
        await feed.devices("all", "id", 0)
        with statements() as asked:
            await asyncio.gather(*(feed.devices("all", "id", 0) for _ in range(20)))
        return len(asked)

    assert asyncio.run(look()) == 0


def test_a_devices_history_names_the_rollouts_it_was_in(database: Database) -> None:
    filled(database, 3)
    store = RolloutStore(database)
    for number, names in enumerate((("pi-00000", "pi-00001"), ("pi-00001",), ("pi-00001", "pi-00002"))):
        members = {name: Member(name, Phase.PLANNED, None, REF) for name in names}
        started = Rollout(0, REF, "all", Plan(), "anna", NOW + timedelta(hours=number), members)
        kept = store.get(store.add(started, Entry(NOW, "anna", "start", "")))
        done = kept.having([replace(member, phase=Phase.COMMITTED, outcome_at=NOW) for member in kept.members.values()])
        store.save(kept, replace(done, ended_at=NOW), [])
    reader = StoreReader(database, lambda: NOW)
    parts = reader.taken_part("pi-00001", limit=2)
    assert [(part.rollout, part.phase, part.kind) for part in parts] == [(3, Phase.COMMITTED, "start"), (2, Phase.COMMITTED, "start")]
    assert [part.rollout for part in reader.taken_part("pi-00000")] == [1]
    assert reader.taken_part("nobody") == ()
    assert reader.overview().hardware == {"rpi5": 3}
