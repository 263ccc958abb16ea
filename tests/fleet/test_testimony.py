"""What gates and reports are told of devices, from messages that were taken in: on a real file and on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.engine import Connection

from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, Health, InferenceWindow, ReleaseRef, WorkerHealth, latency_of
from contracts.sketches import Sketch, bin_of
from fleet.core.devices import Device
from fleet.core.freshness import Heard
from fleet.core.gates.evidence import Metric, Sums
from fleet.core.gates.gate import compared
from fleet.core.gates.verdict import GatePolicy
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.plan import Plan, Strategy
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.forgetting import BATCH_ROWS
from fleet.store.heat import HeatStore
from fleet.store.restarts import RestartStore
from fleet.store.retention import Lives, Retention
from fleet.store.rollouts import RolloutStore
from fleet.store.shadows import ShadowStore
from fleet.store.tables import events
from fleet.store.uplinks import UplinkStore
from fleet.store.work import WorkStore
from fleet.testimony import Records, evidence_of
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
MONTH = timedelta(days=30)
NEW, OLD, FIRST = (ReleaseRef(model="digits", release=number, manifest_sha256=f"{number}" * 64) for number in (3, 2, 1))
HALF = 8


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database(new_place(request.param, tmp_path))
    DeviceStore(opened).add_simulated([Device(f"pi-{number}", "rpi5", {"simulated": "yes"}, NOW) for number in range(2 * HALF)])
    yield opened
    opened.close()


def window(sequence: int, release: ReleaseRef, at: datetime, mean_ms: float, sevens: int) -> InferenceWindow:
    random = np.random.default_rng(sequence)
    bins: dict[int, int] = {}
    for value in mean_ms * random.lognormal(0, 0.3, 400):
        bins[bin_of(value)] = bins.get(bin_of(value), 0) + 1
    sketch = Sketch.of(bins)
    return InferenceWindow(
        session="a" * 16, sequence=sequence, sent_at=at, release=release, started_at=at, window_s=300, requests=400, errors=4,
        latency_ms=latency_of(sketch, mean_ms, 10 * mean_ms), latencies=sketch, classes={"7": sevens, "1": 400 - sevens}, ordinal=sequence,
    )  # fmt: skip


def health(sequence: int, at: datetime, restarts: int, session: str = "b", temperature: float = 50.0) -> Health:
    return Health(
        session=session * 16, sequence=sequence, sent_at=at, uptime_s=1, cpu_percent=1, memory_used_bytes=1, memory_total_bytes=4,
        disk_free_bytes=1, disk_total_bytes=4, temperature_c=temperature,
        workers={"digits": WorkerHealth(state="serving", restarts=restarts, rss_bytes=1)},
    )  # fmt: skip


def save(database: Database, device: str, *messages: Health | InferenceWindow | DeviceEvent, at: datetime = NOW) -> None:
    leaves = {Health: "health", InferenceWindow: "inference", DeviceEvent: "event"}
    UplinkStore(database, MONTH).save([Heard(device, leaves[type(message)], message, at) for message in messages])


def split() -> Rollout:
    """Return two halves of a fleet, all of which had their release an hour ago."""
    members = {
        f"pi-{number}": Member(f"pi-{number}", Phase.COMMITTED, FIRST, NEW if number < HALF else OLD, outcome_at=NOW - timedelta(hours=1))
        for number in range(2 * HALF)
    }
    plan = Plan(Strategy.SPLIT, gate=GatePolicy({Metric.ERRORS: 0.01}))
    return Rollout(1, NEW, "all", plan, "anna", NOW - timedelta(hours=2), members)


def test_a_split_is_reported_in_every_metric_with_an_interval(database: Database) -> None:
    # Given two halves: before, all were alike; since, one is slower and warmer, crashes and answers other classes
    for number in range(2 * HALF):
        device, is_new = f"pi-{number}", number < HALF
        before = [window(step, FIRST, NOW - timedelta(hours=3, minutes=-step), 20, 200) for step in range(1, 3)]
        mean_ms, sevens = (30, 40) if is_new else (20, 200)
        since = [window(10 + step, NEW if is_new else OLD, NOW - timedelta(minutes=50 - step), mean_ms, sevens) for step in range(2)]
        warmth = 60.0 if is_new else 50.0 + number % 2
        healths = [
            health(step, NOW - timedelta(minutes=55 - 10 * step), restarts=step if is_new else 0, temperature=warmth) for step in range(6)
        ]
        save(database, device, *before, *since, *healths)
    rollouts = RolloutStore(database)
    begun = rollouts.get(rollouts.add(split(), Entry(NOW, "anna", "start", "")))
    compared_now = rollouts.save(begun, begun.having(split().members.values()), [])
    # When both are compared
    records = Records(WorkStore(database), HeatStore(database), RestartStore(database), ShadowStore(database))
    report = {found.metric: found for found in compared(evidence_of(records, compared_now))}
    # Then every metric says by how much they differ
    assert set(report) == set(Metric) - {Metric.DISAGREEMENT, Metric.CONFIDENCE}
    assert report[Metric.ERRORS].difference == pytest.approx(0, abs=1e-9)
    assert report[Metric.TEMPERATURE].difference == pytest.approx(9.5, abs=0.1)
    assert report[Metric.RESTARTS].canary == pytest.approx(5 / (50 / 60))
    assert report[Metric.RESTARTS].control == 0
    assert report[Metric.DRIFT].canary > 0.5
    assert abs(report[Metric.DRIFT].control) < 0.01
    assert report[Metric.LATENCY].canary > 0.1
    for found in report.values():
        assert found.low < found.difference < found.high
        assert (found.canary_devices, found.control_devices) == (HALF, HALF)
        assert found.metric is Metric.ERRORS or (found.low > 0 and found.probability_higher > 0.99)


def test_restarts_are_counted_whatever_comes_twice_late_or_after_a_reboot(database: Database) -> None:
    minutes = [NOW - timedelta(minutes=60 - 10 * step) for step in range(7)]
    told = [health(step, at, restarts=2 + step // 2) for step, at in enumerate(minutes[:4])]
    rebooted = [health(step, at, restarts=step, session="c") for step, at in enumerate(minutes[4:])]
    store = RestartStore(database)
    for message in (told[3], told[0], *rebooted, told[1], told[2], told[0]):
        save(database, "pi-0", message)

    assert store.restarts({"pi-0": minutes[0], "pi-1": NOW}, "digits") == {"pi-0": Sums(1 + 2, 50 / 60)}
    assert store.restarts({"pi-0": minutes[3]}, "digits") == {"pi-0": Sums(2, 20 / 60)}
    assert store.restarts({"pi-0": NOW}, "faces") == {}


def test_work_that_was_summed_up_is_told_as_before(database: Database) -> None:
    begin = NOW - timedelta(hours=20)
    save(database, "pi-0", *(window(step, NEW, begin + timedelta(minutes=step), 20, 100) for step in range(1, 30)))
    works = WorkStore(database)
    before = works.work_since(["pi-0", "pi-1"], NEW, begin - timedelta(hours=1))

    retention = Retention(database, Lives(windows=timedelta(hours=1)))
    while retention.turn(NOW):
        pass

    assert works.work_since(["pi-0", "pi-1"], NEW, begin - timedelta(hours=1)) == before
    assert before["pi-0"].requests == before["pi-0"].latencies.count == before["pi-0"].answers.count == 29 * 400
    assert works.work_since(["pi-0"], OLD, begin - timedelta(hours=1)) == {}
    assert works.work_since(["pi-0"], NEW, begin - timedelta(hours=1), begin - timedelta(minutes=10)) == {}


def test_the_temperature_of_a_moment_is_the_last_one_told_shortly_before(database: Database) -> None:
    for step, warmth in enumerate((40.0, 70.0, 50.0)):
        save(database, "pi-0", health(step, NOW - timedelta(minutes=30 - 10 * step), 0, temperature=warmth))
    save(database, "pi-1", health(1, NOW - timedelta(hours=1), 0))
    heats = HeatStore(database)

    moments = {"pi-0": NOW - timedelta(minutes=15), "pi-1": NOW, "pi-2": NOW}
    assert heats.at(moments) == {"pi-0": 70.0}
    assert heats.at({}) == {}


def test_old_rows_are_deleted_a_few_at_a_time(database: Database) -> None:
    # Given more old events than one change may delete, counters that stand still, and one young event
    def linked(sequence: int, at: datetime) -> DeviceEvent:
        return DeviceEvent(session="d" * 16, sequence=sequence, sent_at=at, kind="link", severity="info", text="")

    many = 2 * BATCH_ROWS + 7
    save(database, "pi-0", *(linked(sequence, NOW) for sequence in range(many)), health(1, NOW, 3))
    later = NOW + MONTH + timedelta(days=1)
    save(database, "pi-0", linked(many, later), at=later)
    changes: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("DELETE FROM events"):
            changes.append(statement)

    event.listen(database.engine, "after_cursor_execute", note)
    # When it is pruned
    pruned = UplinkStore(database, MONTH).prune(later)
    # Then it took three changes, and only what is young is left
    assert (pruned, len(changes)) == (many + 1, 3)
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == 1
    assert RestartStore(database).restarts({"pi-0": NOW}, "digits") == {}


def test_nobody_is_compared_before_anybody_has_it(database: Database) -> None:
    rollout = split()
    waiting = rollout.having(replace(member, phase=Phase.OFFERED) for member in rollout.members.values())
    found = evidence_of(Records(WorkStore(database), HeatStore(database), RestartStore(database), ShadowStore(database)), waiting)
    assert (found.canary, found.control) == ({}, {})
