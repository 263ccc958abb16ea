"""SQLite's log is copied back beside those who write, so that no commit has to do it; and it does not grow for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.store.database import Database
from fleet.store.sqlite import WAL_PAGES
from tests.fleet.server import FleetProcess, wait_for

MIB = 1 << 20
ROUNDS = 6


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "fleet.db")
    with opened.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE load (body BLOB)")
    yield opened
    opened.close()


def write(database: Database, mebibytes: int = 8) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO load VALUES (?)", [(os.urandom(MIB),) for _ in range(mebibytes)])


def log_bytes(database: Database) -> int:
    return Path(database.shown + "-wal").stat().st_size


def test_the_log_begins_anew_after_it_was_copied_back(database: Database) -> None:
    for _ in range(ROUNDS):
        write(database)
        database.check_point()
    assert log_bytes(database) < 2 * 8 * MIB


def test_without_that_no_commit_of_an_ordinary_size_copies_anything(database: Database) -> None:
    for _ in range(ROUNDS):
        write(database)
    assert ROUNDS * 8 * MIB < log_bytes(database) < WAL_PAGES * 4096
    assert Path(database.shown).stat().st_size < 8 * MIB


def test_readers_and_writers_go_on_meanwhile_and_lose_nothing(database: Database) -> None:
    is_over = threading.Event()

    def copy_back() -> None:  # what it raises fails the test: errors of threads are errors of their tests
        while not is_over.is_set():
            database.check_point()

    copying = threading.Thread(target=copy_back)
    copying.start()
    with database.reading() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM load").scalar_one() == 0
        for _ in range(ROUNDS):
            write(database, 2)
        # A reader sees what it saw, although the log could not begin anew for it
        assert reader.exec_driver_sql("SELECT count(*) FROM load").scalar_one() == 0
    is_over.set()
    copying.join(60)
    with database.reading() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM load").scalar_one() == 2 * ROUNDS
        assert reader.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


def test_a_server_copies_its_log_back_by_itself(tmp_path: Path) -> None:
    with FleetProcess(tmp_path / "home") as fleet:
        file = fleet.folder / "fleet.db"
        before = file.stat().st_mtime_ns
        fleet.ask("user", "list")
        fleet.add_device("pi-1")
        wait_for(lambda: file.stat().st_mtime_ns > before)
