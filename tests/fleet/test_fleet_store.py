"""What the database keeps, on a real file and on a real server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from contracts.lifecycle import Phase
from contracts.messages import Birth, DeviceEvent, Health, InferenceWindow, Latency, Machine, ModelReport, ReleaseRef, Reported
from fleet.core.devices import Device
from fleet.core.enrolment import Issued
from fleet.core.freshness import Heard
from fleet.core.roles import Caller, Role
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.plan import Plan
from fleet.errors.devices import UnknownDeviceError
from fleet.errors.enrolment import TokenExistsError
from fleet.errors.rollouts import RolloutRunningError, UnknownRolloutError
from fleet.errors.store import StoreError
from fleet.store.access import AccessStore
from fleet.store.credentials import CredentialStore
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.place import PostgresUrl
from fleet.store.reader import StoreReader
from fleet.store.rollouts import RolloutStore
from fleet.store.tables import devices, metadata
from fleet.store.uplinks import UplinkStore
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
RELEASE = ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64)
MACHINE = Machine(architecture="aarch64", system="linux", python="3.11", cpu_count=4, memory_bytes=1, disk_bytes=1)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | PostgresUrl:
    return new_place(request.param, tmp_path)


@pytest.fixture
def database(place: Path | PostgresUrl) -> Iterator[Database]:
    opened = Database(place)
    admit(opened, Device("pi-1", "rpi5", {"site": "lyon"}, NOW))
    yield opened
    opened.close()


def admit(database: Database, device: Device) -> None:
    """Let a device in as enrolment does."""
    issued = Issued("a certificate", f"{len(DeviceStore(database).ids()) + 1:x}", "0" * 64, NOW, NOW + timedelta(days=365))
    CredentialStore(database).admit(device, "enrolment-secret", issued)


def heard(message: Birth | Reported | DeviceEvent | Health | InferenceWindow, device: str = "pi-1") -> Heard:
    leaf = {Birth: "birth", Reported: "reported", DeviceEvent: "event", Health: "health", InferenceWindow: "inference"}[type(message)]
    return Heard(device, leaf, message, NOW)


def event(sequence: int, at: datetime = NOW) -> DeviceEvent:
    return DeviceEvent(session="a" * 16, sequence=sequence, sent_at=at, kind="link", severity="info", text=f"event {sequence}")


def window(sequence: int) -> InferenceWindow:
    latency = Latency(mean=1, p50=1, p95=2, p99=3, max=4)
    return InferenceWindow(
        session="a" * 16, sequence=sequence, sent_at=NOW, release=RELEASE, started_at=NOW, window_s=10, requests=50, errors=1,
        latency_ms=latency, classes={"7": 50}, provider="cpu",
    )  # fmt: skip


def birth(session: str, *, online: bool, at: datetime) -> Birth:
    return Birth(
        session=session * 16, sequence=1, sent_at=at, online=online, agent_version="1", hardware="rpi5", targets=("rpi5",), runtimes={},
        machine=MACHINE,
    )  # fmt: skip


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_a_database_again_keeps_what_it_holds(database: Database, place: Path | PostgresUrl) -> None:
    again = Database(place)

    assert DeviceStore(again).ids() == ("pi-1",)
    again.close()


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(StoreError, match=r"fleet\.db: expected a working database"):
        Database(tmp_path / "fleet.db")


def test_a_series_message_that_comes_twice_is_kept_once_and_a_stranger_is_named(database: Database) -> None:
    store = UplinkStore(database, timedelta(days=30))

    assert store.save([heard(event(1)), heard(event(1)), heard(event(2)), heard(event(3), "stranger")]) == ("stranger",)

    assert [view.text for view in StoreReader(database, lambda: NOW).device("pi-1").events] == ["event 2", "event 1"]


def test_the_will_of_an_older_session_leaves_the_device_online(database: Database) -> None:
    store = UplinkStore(database, timedelta(days=30))
    store.save([heard(birth("a", online=True, at=NOW)), heard(birth("b", online=True, at=NOW + timedelta(seconds=1)))])
    store.save([heard(birth("a", online=False, at=NOW))])

    assert StoreReader(database, lambda: NOW).devices()[0].online
    store.save([heard(birth("b", online=False, at=NOW + timedelta(seconds=1)))])
    assert not StoreReader(database, lambda: NOW).devices()[0].online


def test_telemetry_older_than_the_retention_is_deleted(database: Database) -> None:
    store = UplinkStore(database, timedelta(days=30))
    store.save([heard(event(1, NOW - timedelta(days=29))), heard(event(2))])

    assert store.prune(NOW + timedelta(days=2)) == 1
    assert [view.text for view in StoreReader(database, lambda: NOW).device("pi-1").events] == ["event 2"]


def test_windows_and_health_become_points_and_numbers(database: Database) -> None:
    health = Health(
        session="a" * 16, sequence=9, sent_at=NOW, uptime_s=1, cpu_percent=25, memory_used_bytes=1, memory_total_bytes=4, disk_free_bytes=1,
        disk_total_bytes=4,
    )  # fmt: skip
    UplinkStore(database, timedelta(days=30)).save([heard(window(1)), heard(window(2)), heard(health)])
    reader = StoreReader(database, lambda: NOW + timedelta(seconds=1))

    assert [(point.requests_per_s, point.p95_ms, point.classes) for point in reader.inference("pi-1")] == [(5.0, 2.0, {"7": 50})] * 2
    assert [(point.memory_percent, point.disk_percent) for point in reader.health("pi-1")] == [(25.0, 75.0)]
    assert reader.overview().requests_per_s == pytest.approx(100 / 60)
    assert len(reader.inference("pi-1", limit=1)) == 1


def test_pages_of_devices_follow_each_other(database: Database) -> None:
    for number in range(2, 6):
        admit(database, Device(f"pi-{number}", "cpu", {}, NOW))
    reader = StoreReader(database, lambda: NOW)

    assert [view.id for view in reader.devices(limit=2)] == ["pi-1", "pi-2"]
    assert [view.id for view in reader.devices(limit=9, after="pi-3")] == ["pi-4", "pi-5"]
    assert reader.overview().statuses == {"new": 5}


def test_who_asks_for_what_is_not_there_is_told(database: Database) -> None:
    reader = StoreReader(database, lambda: NOW)

    with pytest.raises(UnknownDeviceError):
        reader.health("nobody")
    with pytest.raises(UnknownRolloutError):
        reader.rollout(1)


def test_a_model_has_one_running_rollout(database: Database) -> None:
    store = RolloutStore(database)
    rollout = Rollout(0, RELEASE, "all", Plan(), "anna", NOW, {"pi-1": Member("pi-1", Phase.PLANNED, None, RELEASE)})

    assert store.add(rollout, Entry(NOW, "anna", "start", "")) == 1
    with pytest.raises(RolloutRunningError, match=r"model digits: .* rollout 1"):
        store.add(rollout, Entry(NOW, "anna", "start", ""))
    assert store.open_revisions() == {1: 0}
    assert store.get(1) == replace(rollout, id=1)


def test_a_login_code_works_once_and_in_time_and_no_secret_is_stored_plain(database: Database) -> None:
    access = AccessStore(database)
    access.add_token("token-secret", "anna", Role.OPERATOR, NOW + timedelta(hours=1), NOW)
    access.add_code("code-secret", "anna", NOW + timedelta(hours=1), NOW)
    access.add_code("late-secret", "anna", NOW + timedelta(hours=1), NOW)

    assert access.caller_of("token-secret", NOW) == Caller("anna", Role.OPERATOR)
    assert access.caller_of("token-secre", NOW) is None
    assert access.caller_of("token-secret", NOW + timedelta(hours=1)) is None
    assert access.redeem_code("code-secret", NOW) == Caller("anna", Role.OPERATOR)
    assert not access.redeem_code("code-secret", NOW)
    assert not access.redeem_code("late-secret", NOW + timedelta(hours=2))
    with database.reading() as connection:
        dump = repr([connection.execute(select(table)).all() for table in metadata.sorted_tables])
    assert "anna" in dump
    assert "-secret" not in dump


def test_a_nul_that_a_device_says_stops_nobody(database: Database) -> None:
    said = event(1).model_copy(update={"text": "before\0after"})

    UplinkStore(database, timedelta(days=30)).save([heard(said)])

    assert [view.text for view in StoreReader(database, lambda: NOW).device("pi-1").events] == ["before\ufffdafter"]


def test_what_is_read_at_once_is_one_state_whatever_is_written_meanwhile(database: Database) -> None:
    with database.reading() as connection:
        before = connection.execute(select(devices.c.id)).all()
        admit(database, Device("pi-2", "cpu", {}, NOW))
        assert connection.execute(select(devices.c.id)).all() == before

    assert DeviceStore(database).ids() == ("pi-1", "pi-2")


def test_of_two_who_want_one_name_at_the_same_time_one_gets_it(place: Path | PostgresUrl) -> None:
    # Given two servers' views of one database
    opened = [Database(place) for _ in range(2)]
    stores = [AccessStore(database) for database in opened]

    def claim(number: int) -> str:
        try:
            stores[number % 2].add_token(f"secret-{number}", "anna", Role.VIEWER, None, NOW)
        except TokenExistsError:
            return "told"
        return "got it"

    # When many threads want the same
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(claim, range(8)))
    for database in opened:
        database.close()
    # Then one has it, and each other was told so
    assert sorted(answers) == ["got it", *["told"] * 7]


def test_the_fleets_numbers_follow_what_each_device_said_last(database: Database) -> None:
    # Given a reader that was asked before, as dashboards ask again and again
    store, reader = UplinkStore(database, timedelta(days=30)), StoreReader(database, lambda: NOW)
    admit(database, Device("pi-2", "cpu", {}, NOW))
    assert (reader.overview().statuses, reader.overview().online) == ({"new": 2}, 0)
    for number, phase in enumerate((Phase.PROBATION, Phase.COMMITTED, Phase.ROLLED_BACK), start=1):
        # When a device says something new
        store.save([heard(birth("a", online=True, at=NOW)), heard(report(number, phase))])
        # Then the numbers and the list agree, and both know it
        [listed, _] = reader.devices()
        assert reader.overview().statuses == Counter(view.status for view in reader.devices())
        assert reader.overview().releases == {"digits 2": 1}
        assert (reader.overview().online, listed.online) == (1, True)
    assert (listed.status, listed.status_reason) == ("degraded", "digits: rolled back: too hot")
    # And when it is gone, or turned out
    store.save([heard(birth("a", online=False, at=NOW))._replace(received_at=NOW + timedelta(seconds=1))])
    assert reader.overview().statuses == {"offline": 1, "new": 1}
    CredentialStore(database).revoke("pi-2", NOW)
    assert reader.overview().statuses == {"offline": 2}


def report(sequence: int, phase: Phase) -> Reported:
    model = ModelReport(phase=phase, reason="too hot" if phase is Phase.ROLLED_BACK else "", current=RELEASE)
    return Reported(session="a" * 16, sequence=sequence, sent_at=NOW, generation=1, models={"digits": model})
