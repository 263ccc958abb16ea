"""What the database keeps, on a real file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from contracts.lifecycle import Phase
from contracts.messages import Birth, DeviceEvent, Health, InferenceWindow, Latency, Machine, ReleaseRef
from fleet.core.devices import Device
from fleet.core.enrolment import Issued, Standing
from fleet.core.freshness import Heard
from fleet.core.roles import Role
from fleet.core.rollout import Member, Rollout
from fleet.errors import RolloutRunningError, StoreError, UnknownDeviceError, UnknownRolloutError
from fleet.store import database as database_module
from fleet.store.access import AccessStore
from fleet.store.credentials import CredentialStore, digest
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.reader import StoreReader
from fleet.store.rollouts import RolloutStore
from fleet.store.tables import inference_windows, metadata
from fleet.store.tallies import gaps_of
from fleet.store.times import micros
from fleet.store.uplinks import UplinkStore

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
RELEASE = ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64)
MACHINE = Machine(architecture="aarch64", system="linux", python="3.11", cpu_count=4, memory_bytes=1, disk_bytes=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "fleet.db")
    admit(opened, Device("pi-1", "rpi5", {"site": "lyon"}, NOW))
    yield opened
    opened.close()


def admit(database: Database, device: Device) -> None:
    """Let a device in as enrolment does."""
    issued = Issued("a certificate", f"{len(DeviceStore(database).ids()) + 1:x}", "0" * 64, NOW, NOW + timedelta(days=365))
    CredentialStore(database).admit(device, "enrolment-secret", issued)


def heard(message: Birth | DeviceEvent | Health | InferenceWindow, device: str = "pi-1") -> Heard:
    leaf = {Birth: "birth", DeviceEvent: "event", Health: "health", InferenceWindow: "inference"}[type(message)]
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


def test_a_database_of_passwords_becomes_one_of_certificates(tmp_path: Path) -> None:
    # Given a database of the first shape, with a device and two tokens of one name
    config = Config()
    config.set_main_option("script_location", str(Path(database_module.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{tmp_path / 'fleet.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "v0001")
        connection.exec_driver_sql("INSERT INTO devices VALUES ('pi-1', 'rpi5', '{}', 'a hash', 1, NULL)")
        connection.exec_driver_sql(f"INSERT INTO tokens VALUES ('{digest('old')}', 'admin', 1), ('{digest('new')}', 'admin', 2)")
    engine.dispose()
    # When it is opened
    opened = Database(tmp_path / "fleet.db")
    # Then the device is out until it enrols, and the newest token is an admin's
    assert CredentialStore(opened).standing("pi-1", NOW) == Standing(is_revoked=True, certificates=0)
    assert AccessStore(opened).role_of("new", NOW) is Role.ADMIN
    assert AccessStore(opened).role_of("old", NOW) is None
    opened.close()


def test_windows_of_before_stay_and_sessions_that_go_on_miss_nothing_of_before(tmp_path: Path) -> None:
    # Given a database from before windows told their manifest, with a device in the middle of a session
    config = Config()
    config.set_main_option("script_location", str(Path(database_module.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{tmp_path / 'fleet.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "v0002")
        at = micros(NOW)
        connection.exec_driver_sql(f"INSERT INTO devices VALUES ('pi-1', 'rpi5', '{{}}', {at}, NULL, NULL)")
        connection.exec_driver_sql(f"INSERT INTO reports VALUES ('pi-1', 'reported', '{'a' * 16}', 40, {at}, {at}, '{{}}')")
        connection.exec_driver_sql(
            f"INSERT INTO inference_windows VALUES ('pi-1', '{'a' * 16}', 39, {at}, 'digits', 2, 10, 50, 1, 1, 2, '{{}}', 'cpu')"
        )
    engine.dispose()
    # When it is opened, and the device goes on
    opened = Database(tmp_path / "fleet.db")
    UplinkStore(opened, timedelta(days=30)).save([heard(event(41)), heard(event(43))])
    # Then its window is there, and only what is missing since then counts
    with opened.reading() as connection:
        assert [row.manifest_sha256 for row in connection.execute(inference_windows.select())] == [""]
        assert [(gap.lost, gap.missing) for gap in gaps_of(connection, "pi-1")] == [(1, "42")]
    opened.close()


def test_opening_a_database_again_keeps_what_it_holds(database: Database, tmp_path: Path) -> None:
    again = Database(tmp_path / "fleet.db")

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
    rollout = Rollout(0, RELEASE, "all", 60, NOW, (Member("pi-1", Phase.PLANNED, None),))

    assert store.add(rollout) == 1
    with pytest.raises(RolloutRunningError, match=r"model digits: .* rollout 1"):
        store.add(rollout)
    assert store.running() == (store.get(1),)


def test_a_login_code_works_once_and_in_time_and_no_secret_is_stored_plain(database: Database, tmp_path: Path) -> None:
    access = AccessStore(database)
    access.add_token("token-secret", "anna", Role.OPERATOR, NOW + timedelta(hours=1), NOW)
    access.add_code("code-secret", NOW + timedelta(hours=1), NOW)
    access.add_code("late-secret", NOW + timedelta(hours=1), NOW)

    assert access.role_of("token-secret", NOW) is Role.OPERATOR
    assert access.role_of("token-secre", NOW) is None
    assert access.role_of("token-secret", NOW + timedelta(hours=1)) is None
    assert access.redeem_code("code-secret", NOW)
    assert not access.redeem_code("code-secret", NOW)
    assert not access.redeem_code("late-secret", NOW + timedelta(hours=2))
    with sqlite3.connect(tmp_path / "fleet.db") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert "-secret" not in dump
