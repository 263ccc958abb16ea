"""What the database keeps of rollouts, and what it tells of devices to those who judge them, on both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from contracts.downlinks import Desired, ShadowWish
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from contracts.pace import Hours
from contracts.shadow import ShadowTerms
from fleet.core.devices import Device
from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import Decision, GatePolicy, GateVerdict, MetricVerdict
from fleet.core.rollout.acts import Order, pause
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Errand, Kind, Member, Rollout, State
from fleet.core.rollout.plan import Plan, Size, Strategy
from fleet.core.wishes import first_wish, reissued, with_release, with_shadow
from fleet.ear import Ear
from fleet.errors.rollouts import RolloutRunningError, RolloutStateError, StaleRolloutError
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.heat import Heat, HeatStore
from fleet.store.rollout_views import summarised
from fleet.store.rollouts import RolloutStore
from fleet.store.roster import Roster
from fleet.store.tables import health_points, reports
from fleet.store.wishes import WishStore
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
NEW, OLD = (ReleaseRef(model="digits", release=number, manifest_sha256=f"{number}" * 64) for number in (2, 1))
PLAN = Plan(
    Strategy.CANARY,
    (Size(5, is_percent=False), Size(100, is_percent=True)),
    Size(2.5, is_percent=True),
    GatePolicy({Metric.ERRORS: 0.02, Metric.LATENCY: 0.05}),
    hours=Hours(time(22), time(6)),
    zone="Europe/Paris",
    rate_per_min=100,
    takes_back=True,
)
STARTED = Entry(NOW, "anna", "start", "canary to all")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database(new_place(request.param, tmp_path))
    yield opened
    opened.close()


def rollout(*devices: str, model: str = "digits") -> Rollout:
    release = NEW.model_copy(update={"model": model})
    members = {device: Member(device, Phase.PLANNED, OLD, release, zone=ZoneInfo("Asia/Tokyo")) for device in devices}
    return Rollout(0, release, "all", PLAN, "anna", NOW, members, kind=Kind.RETRY, origin=7)


def test_a_rollout_is_read_as_it_was_written(database: Database) -> None:
    store = RolloutStore(database)
    number = store.add(rollout("b", "a", "c"), STARTED)
    begun = store.get(number)
    assert begun == replace(rollout("b", "a", "c"), id=number)
    assert list(begun.members) == ["b", "a", "c"]

    moved = Member(
        "a", Phase.FETCHING, OLD, NEW, zone=ZoneInfo("Asia/Tokyo"), reason="why", progress=0.5, errand=Errand.RETURN, generation=3,
        offered_at=NOW, met_at=NOW, outcome_at=NOW, is_missing=True,
    )  # fmt: skip
    verdict = GateVerdict(Decision.WAIT, "errors", (MetricVerdict(Metric.ERRORS, Decision.WAIT, 0.1, None, 0.5, "so far", 4),))
    late = Member("late", Phase.PLANNED, None, NEW, wave=1)
    after = begun.having([moved])
    after = replace(after, members={**after.members, "late": late}, wave=1, settled_at=NOW, verdict=verdict, state=State.PAUSED)
    kept = store.save(begun, after, [Entry(NOW, "fleet", "wave", "opened wave 2 of 2")])

    assert kept.revision == 1
    assert store.get(number) == kept
    assert [line.act for _, line in store.history(number, 10)] == ["wave", "start"]
    assert [line.act for _, line in store.history(number, 1)] == ["wave"]
    assert [(view.id, view.counts) for view in map(summarised, store.newest(5))] == [(number, {Phase.PLANNED: 3, Phase.FETCHING: 1})]


def test_nobody_writes_over_what_he_has_not_read(database: Database) -> None:
    store = RolloutStore(database)
    number = store.add(rollout("a"), STARTED)
    read = store.get(number)
    store.change(number, lambda found: pause(found, Order("bert", NOW)), Entry(NOW, "bert", "pause", ""))

    with pytest.raises(StaleRolloutError, match="expected revision 0, found another"):
        store.save(read, replace(read, wave=1), [])
    assert (store.get(number).state, store.get(number).wave) == (State.PAUSED, 0)
    assert store.open_revisions() == {number: 1}


def test_an_order_that_is_refused_changes_nothing(database: Database) -> None:
    store = RolloutStore(database)
    number = store.add(rollout("a"), STARTED)
    order = Entry(NOW, "bert", "pause", "")
    store.change(number, lambda found: pause(found, Order("bert", NOW)), order)

    with pytest.raises(RolloutStateError):
        store.change(number, lambda found: pause(found, Order("bert", NOW)), order)
    assert len(store.history(number, 10)) == 2


def test_a_model_has_one_rollout_until_its_last_device_has_an_outcome(database: Database) -> None:
    store = RolloutStore(database)
    number = store.add(rollout("a"), STARTED)
    with pytest.raises(RolloutRunningError):
        store.add(rollout("b"), STARTED)
    other = store.add(rollout("a", model="faces"), STARTED)

    aborted = store.save(found := store.get(number), replace(found, state=State.ABORTED), [])
    with pytest.raises(RolloutRunningError):
        store.add(rollout("b"), STARTED)
    store.save(aborted, replace(aborted, ended_at=NOW), [])

    assert store.open_revisions().keys() == {other}
    assert store.add(rollout("b"), STARTED) > number


def test_wishes_are_kept_together_in_the_place_of_older_ones_and_a_newer_one_is_not_taken_for_published(database: Database) -> None:
    store = WishStore(database)

    def wish(device: str, generation: int) -> Desired:
        return Desired(device=device, generation=generation, issued_at=NOW, expires_at=NOW + timedelta(days=1), models={"digits": NEW})

    store.put_all([(wish("a", 1), b"1"), (wish("b", 1), b"1")])
    store.put_all([(wish("b", 2), b"2")])
    store.published([wish("a", 1), wish("b", 1)])

    assert {device: found.generation for device, found in store.of(["a", "b", "c"]).items()} == {"a": 1, "b": 2}
    assert [(found.wish, found.envelope) for found in store.unpublished(9)] == [(wish("b", 2), b"2")]
    assert store.wanted("abc", "digits") == {"a": NEW, "b": NEW}
    assert store.wanted("bc", "faces") == {"b": None}


def test_what_is_wished_beside_what_serves_is_kept_and_can_be_taken_back(database: Database) -> None:
    store, shadow = WishStore(database), ShadowWish(release=NEW, terms=ShadowTerms(share=0.1))
    serving = with_release(first_wish("a", NOW), "digits", OLD, NOW)

    store.put_all([(with_shadow(serving, "digits", shadow, NOW), b"1")])

    found = store.of(["a"])["a"]
    assert found.shadow == {"digits": shadow}
    assert with_shadow(found, "digits", shadow, NOW) == found
    assert reissued(found, NOW).shadow == {"digits": shadow}
    back = with_release(found, "digits", OLD, NOW)
    assert (back.generation, back.shadow, back.models) == (found.generation + 1, None, {"digits": OLD})


def say(database: Database, device: str, leaf: str, body: str, at: datetime, sequence: int = 1) -> None:
    row = {"device": device, "leaf": leaf, "session": "a" * 16, "sequence": sequence, "sent_at": at, "received_at": at, "body": body}
    with database.writing() as connection:
        connection.execute(reports.delete().where(reports.c.device == device, reports.c.leaf == leaf))
        connection.execute(reports.insert(), [row])


def reported(generation: int) -> str:
    return f'{{"session":"{"a" * 16}","sequence":1,"sent_at":"2026-01-01T12:00:00Z","generation":{generation},"models":{{}}}}'


def test_what_was_said_is_heard_once_even_when_it_is_kept_late(database: Database) -> None:
    DeviceStore(database).add_simulated([Device(name, "cpu", {}, NOW) for name in "abcd"])
    ear = Ear(Roster(database))
    say(database, "a", "reported", reported(1), NOW)
    say(database, "b", "reported", reported(1), NOW)
    assert ear.listen(NOW) == {"a", "b"}
    assert ear.listen(NOW) == set()
    # A batch that was stamped before, and kept after the look
    say(database, "c", "reported", reported(4), NOW - timedelta(seconds=4))
    assert ear.listen(NOW + timedelta(seconds=1)) == {"c"}
    say(database, "a", "reported", reported(2), NOW + timedelta(seconds=2), sequence=2)
    assert ear.listen(NOW + timedelta(seconds=2)) == {"a"}
    # One that was kept very late is found when all are looked at
    say(database, "d", "reported", reported(1), NOW - timedelta(hours=1))
    assert ear.listen(NOW + timedelta(seconds=3)) == set()
    assert ear.listen(NOW + timedelta(minutes=6)) == {"d"}

    heard = {name: ear.standing(name, "digits") for name in ("a", "c", "nobody")}
    assert {name: standing.generation for name, standing in heard.items() if standing} == {"a": 2, "c": 4}


def test_temperatures_count_from_each_devices_own_outcome(database: Database) -> None:
    store = RolloutStore(database)
    number = store.add(rollout("a", "b"), STARTED)
    begun = store.get(number)
    committed = [
        replace(begun.members[name], phase=Phase.COMMITTED, outcome_at=NOW + timedelta(seconds=s)) for name, s in (("a", 5), ("b", 15))
    ]
    store.save(begun, begun.having(committed), [])
    rows = [
        {"device": device, "session": "a" * 16, "sequence": 10 * s + index, "at": NOW + timedelta(seconds=10 * s), "cpu_percent": 1.0,
         "memory_percent": 1.0, "disk_percent": 1.0, "temperature_c": None if s == 3 else 40.0 + s}
        for index, device in enumerate(("a", "b"))
        for s in (0, 1, 2, 3)
    ]  # fmt: skip
    with database.writing() as connection:
        connection.execute(health_points.insert(), rows)
    heats = HeatStore(database)

    assert heats.since_outcome(number, ["a", "b"]) == {"a": Heat(83.0, 2), "b": Heat(42.0, 1)}
    assert heats.between(["a"], NOW - timedelta(seconds=1), NOW + timedelta(seconds=10)) == {"a": Heat(81.0, 2)}
    assert heats.between([], NOW) == {}
