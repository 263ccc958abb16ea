"""How a database of each earlier version becomes the newest, with what it holds, on both kinds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text

from fleet.core.enrolment import Standing
from fleet.core.roles import Caller, Role
from fleet.errors.store import NewerDatabaseError, StoreError
from fleet.store import database as database_module
from fleet.store.access import AccessStore
from fleet.store.credentials import CredentialStore, digest
from fleet.store.database import Database
from fleet.store.place import PostgresUrl
from fleet.store.postgres import PostgresServer
from fleet.store.sqlite import SqliteFile
from fleet.store.steps import migrate
from fleet.store.tables import devices, inference_windows, metadata, tokens
from fleet.store.tallies import gaps_of
from fleet.store.times import micros
from fleet.store.uplinks import UplinkStore
from fleet.store.version import newest
from tests.fleet.databases import KINDS, new_place
from tests.fleet.test_fleet_store import event, heard

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
VERSIONS = [script.revision for script in ScriptDirectory(str(Path(database_module.__file__).parent / "migrations")).walk_revisions()]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | PostgresUrl:
    return new_place(request.param, tmp_path, is_empty=True)


def engine_of(place: Path | PostgresUrl) -> Engine:
    return (PostgresServer(place) if isinstance(place, PostgresUrl) else SqliteFile(place)).engine


def make_earlier(place: Path | PostgresUrl, version: str, *statements: str) -> None:
    """Make a database of an earlier version, with rows."""
    engine = engine_of(place)
    with engine.begin() as connection:
        migrate(connection, "an earlier database", version)
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def fill_every_table(place: Path | PostgresUrl) -> dict[str, int]:
    """Put a row into each table there is, of whatever its columns take; return the tables' sizes."""
    engine = engine_of(place)
    with engine.begin() as connection:
        inspector = inspect(connection)
        names = [name for name in inspector.get_table_names() if name != "alembic_version"]
        for name in names:
            columns = inspector.get_columns(name)
            values = {column["name"]: _value(str(column["type"])) for column in columns}
            quoted = ", ".join(f'"{column}"' for column in values)  # "order" is a word of SQL
            slots = ", ".join(f":{column}" for column in values)
            connection.execute(text(f'INSERT INTO "{name}" ({quoted}) VALUES ({slots})'), values)
    engine.dispose()
    return dict.fromkeys(names, 1)


def _value(kind: str) -> object:
    if kind in ("BLOB", "BYTEA"):
        return b"x"
    if kind == "BOOLEAN":
        return True
    return "{}" if kind.startswith(("VARCHAR", "TEXT")) else 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_of_every_earlier_version_is_brought_to_the_newest_and_keeps_its_rows(place: Path | PostgresUrl, version: str) -> None:
    # Given a database as that version made it, with a row in each table
    make_earlier(place, version)
    kept = fill_every_table(place)
    # When it is opened
    opened = Database(place)
    # Then it has exactly the newest shape, and each row
    with opened.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        found = {name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in kept}
    assert found == kept
    opened.close()


def test_the_newest_shape_is_that_of_the_last_step() -> None:
    assert newest() == VERSIONS[0]


def test_a_database_of_passwords_becomes_one_of_certificates(place: Path | PostgresUrl) -> None:
    # Given a database of the first shape, with a device and two tokens of one name
    make_earlier(
        place,
        "v0001",
        "INSERT INTO devices VALUES ('pi-1', 'rpi5', '{}', 'a hash', 1, NULL)",
        f"INSERT INTO tokens VALUES ('{digest('old')}', 'admin', 1), ('{digest('new')}', 'admin', 2)",
    )
    # When it is opened
    opened = Database(place)
    # Then the device is out until it enrols, and the newest token is an admin's
    assert CredentialStore(opened).standing("pi-1", NOW) == Standing(is_revoked=True, certificates=0)
    assert AccessStore(opened).caller_of("new", NOW) == Caller("admin", Role.ADMIN)
    assert AccessStore(opened).caller_of("old", NOW) is None
    opened.close()


def test_a_database_of_a_later_version_is_one_clear_error_and_stays_as_it_is(place: Path | PostgresUrl) -> None:
    Database(place).close()
    engine = engine_of(place)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v9999'")

    with pytest.raises(NewerDatabaseError, match=rf"expected a database of version {VERSIONS[0]} or older, found v9999"):
        Database(place)

    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "v9999"
        assert connection.execute(select(devices)).all() == connection.execute(select(tokens)).all() == []
    engine.dispose()


def test_a_step_that_fails_leaves_the_database_as_it_was(place: Path | PostgresUrl) -> None:
    # Given an earlier database in which somebody made a table that a later step makes
    make_earlier(
        place, "v0001", "INSERT INTO devices VALUES ('pi-1', 'rpi5', '{}', 'a hash', 1, NULL)", "CREATE TABLE certificates (a int)"
    )
    # When it is opened, and again
    for _ in range(2):
        with pytest.raises(StoreError, match="certificates"):
            Database(place)
    # Then it still is of the first shape
    engine = engine_of(place)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "v0001"
        assert connection.exec_driver_sql("SELECT password_hash FROM devices").scalar_one() == "a hash"
    engine.dispose()


def test_windows_of_before_stay_and_sessions_that_go_on_miss_nothing_of_before(place: Path | PostgresUrl) -> None:
    # Given a database from before windows told their manifest, with a device in the middle of a session
    at, session = micros(NOW), "a" * 16
    make_earlier(
        place,
        "v0002",
        f"INSERT INTO devices VALUES ('pi-1', 'rpi5', '{{}}', {at}, NULL, NULL)",
        f"INSERT INTO reports VALUES ('pi-1', 'reported', '{session}', 40, {at}, {at}, '{{}}')",
        f"INSERT INTO inference_windows VALUES ('pi-1', '{session}', 39, {at}, 'digits', 2, 10, 50, 1, 1, 2, '{{}}', 'cpu')",
    )
    # When it is opened, and the device goes on
    opened = Database(place)
    UplinkStore(opened, timedelta(days=30)).save([heard(event(41)), heard(event(43))])
    # Then its window is there, and only what is missing since then counts
    with opened.reading() as connection:
        assert [row.manifest_sha256 for row in connection.execute(inference_windows.select())] == [""]
        assert [(gap.lost, gap.missing) for gap in gaps_of(connection, "pi-1")] == [(1, "42")]
    opened.close()
