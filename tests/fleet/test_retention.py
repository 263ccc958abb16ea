"""How telemetry grows old: summed up, still counted in full, and gone in the end; on a real file and on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.engine import Connection

from contracts.messages import Health, InferenceWindow
from contracts.sketches import Sketch, bin_of
from fleet.core.devices import Device
from fleet.core.summaries import Gauge, joined_gauge
from fleet.store.database import Database
from fleet.store.reader import StoreReader
from fleet.store.retention import BATCH_ROWS, Lives, Retention
from fleet.store.tables import health_buckets, health_points, inference_windows, work_buckets
from fleet.store.uplinks import UplinkStore
from tests.fleet.databases import KINDS, new_place
from tests.fleet.test_fleet_store import NOW, admit, heard, window

LIVES = Lives(health=timedelta(days=1), windows=timedelta(days=1), fine=timedelta(days=3), coarse=timedelta(days=10))
EVER = timedelta(days=365)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database(new_place(request.param, tmp_path))
    admit(opened, Device("pi-1", "rpi5", {}, NOW))
    admit(opened, Device("pi-2", "rpi5", {}, NOW))
    yield opened
    opened.close()


def health(sequence: int, at: datetime, cpu: float = 25, temperature: float | None = 50) -> Health:
    return Health(
        session="b" * 16, sequence=sequence, sent_at=at, uptime_s=1, cpu_percent=cpu, memory_used_bytes=1, memory_total_bytes=4,
        disk_free_bytes=1, disk_total_bytes=4, temperature_c=temperature,
    )  # fmt: skip


def work(sequence: int, at: datetime, p95: float = 2) -> InferenceWindow:
    told = window(sequence)
    return told.model_copy(update={"sent_at": at, "latency_ms": told.latency_ms.model_copy(update={"p95": p95})})


def save(database: Database, *messages: Health | InferenceWindow, device: str = "pi-1") -> None:
    """Keep messages, as heard when they were sent."""
    batch = [heard(message, device) for message in messages]
    UplinkStore(database, EVER).save(batch)


def rows(database: Database) -> dict[str, int]:
    """Return how many rows there are of each form."""
    with database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (health_points, inference_windows, health_buckets, work_buckets)
        }


def finish(database: Database, now: datetime) -> None:
    """Let all that is due be done."""
    retention = Retention(database, LIVES)
    while retention.turn(now):
        pass


def test_sums_of_sums_are_the_sums_of_all() -> None:
    parts = [Gauge.of([1.0, None, 5.0]), None, Gauge.of([-2.0])]

    assert joined_gauge(parts) == Gauge(3, 4.0, -2.0, 5.0)
    assert joined_gauge([None]) is None


def test_old_points_become_sums_that_charts_show_as_before(database: Database) -> None:
    # Given half an hour of health and windows, ten seconds apart, long ago
    begin = NOW - timedelta(days=2)
    times = [begin + timedelta(seconds=10 * number) for number in range(180)]
    save(database, *(health(number, at, cpu=number % 100) for number, at in enumerate(times)))
    save(database, *(work(1000 + number, at, p95=number) for number, at in enumerate(times)))
    reader = StoreReader(database, lambda: NOW)
    minutes = 3 * 24 * 60
    before = (reader.health("pi-1", minutes=minutes), reader.inference("pi-1", minutes=minutes))
    # When their time has come
    finish(database, NOW)
    # Then there are six sums of each, and the charts of a long time are the same
    assert rows(database) == {"health_points": 0, "inference_windows": 0, "health_buckets": 6, "work_buckets": 6}
    assert (reader.health("pi-1", minutes=minutes), reader.inference("pi-1", minutes=minutes)) == before
    # And they are right
    first = before[0][0]
    assert (first.at, first.span_s) == (begin, 300)
    assert first.cpu_percent == pytest.approx(14.5)
    assert first.lowest is not None
    assert first.highest is not None
    assert (first.lowest.cpu_percent, first.highest.cpu_percent, first.highest.temperature_c) == (0, 29, 50)
    slowest = before[1][-1]
    assert (slowest.requests_per_s, slowest.errors, slowest.p50_ms, slowest.p95_ms, slowest.classes) == (5.0, 30, 1.0, 179, {"7": 1500})


def test_percentiles_of_sums_are_those_of_all_requests_together(database: Database) -> None:
    # Given one slow window among many fast ones, each with its whole distribution
    begin = NOW - timedelta(days=2)
    fast, slow = Sketch.of({bin_of(10.0): 50}), Sketch.of({bin_of(900.0): 50})
    sketches = [slow, *[fast] * 29]
    told = [
        work(number, begin + timedelta(seconds=10 * number), p95=9000).model_copy(update={"latencies": sketch})
        for number, sketch in enumerate(sketches)
    ]
    save(database, *told[:20])
    finish(database, NOW)
    save(database, *told[20:])
    # When they are summed up, before and after
    charts = [StoreReader(database, lambda: NOW).inference("pi-1", minutes=3 * 24 * 60)]
    finish(database, NOW)
    charts.append(StoreReader(database, lambda: NOW).inference("pi-1", minutes=3 * 24 * 60))
    # Then a thirtieth of slow requests is not the 95th percentile
    for [point] in charts:
        assert point.p50_ms == pytest.approx(10, rel=0.02)
        assert point.p95_ms == pytest.approx(10, rel=0.02)


def test_what_arrives_late_is_added_to_its_sum(database: Database) -> None:
    at = NOW - timedelta(days=2)
    save(database, health(1, at, cpu=10), work(10, at))
    finish(database, NOW)
    save(database, health(2, at, cpu=40, temperature=None), work(11, at))
    finish(database, NOW)

    [point] = StoreReader(database, lambda: NOW).health("pi-1", minutes=3 * 24 * 60)
    [done] = StoreReader(database, lambda: NOW).inference("pi-1", minutes=3 * 24 * 60)

    assert (point.cpu_percent, point.temperature_c) == (25, 50)
    assert (done.errors, done.classes) == (2, {"7": 100})


def test_sums_grow_coarse_and_are_gone_in_the_end(database: Database) -> None:
    begin = NOW - timedelta(days=2)
    times = [begin + timedelta(minutes=5 * number) for number in range(24)]
    save(database, *(health(number, at) for number, at in enumerate(times)))
    save(database, *(work(1000 + number, at) for number, at in enumerate(times)))

    finish(database, NOW)
    assert rows(database)["health_buckets"] == rows(database)["work_buckets"] == 24
    finish(database, NOW + timedelta(days=2))
    assert rows(database)["health_buckets"] == rows(database)["work_buckets"] == 2
    finish(database, NOW + timedelta(days=10))
    assert set(rows(database).values()) == {0}


def test_what_is_young_stays_as_it_is_and_a_short_chart_shows_it(database: Database) -> None:
    save(database, health(1, NOW - timedelta(minutes=1), cpu=12))
    finish(database, NOW)

    [point] = StoreReader(database, lambda: NOW).health("pi-1")
    assert (point.cpu_percent, point.span_s) == (12, None)


def test_no_change_is_so_large_that_others_wait_for_it(database: Database) -> None:
    # Given a device that told far more than one change may hold, within one hour, and another that told little
    begin = NOW - timedelta(days=2)
    many = 3 * BATCH_ROWS + 7
    save(database, *(health(number, begin + timedelta(seconds=number)) for number in range(many)))
    save(database, health(1, begin), device="pi-2")
    changes: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("DELETE"):
            changes.append(statement)

    event.listen(database.engine, "after_cursor_execute", note)
    # When they are summed up
    finish(database, NOW)
    # Then it took four changes for the one and one for the other, and no point is lost
    assert len(changes) == 5
    with database.reading() as connection:
        assert connection.execute(text("SELECT sum(cpu_count) FROM health_buckets")).scalar_one() == many + 1
