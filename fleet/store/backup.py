"""Copies every row of a database into another, whichever kind either is: a backup of both kinds is a SQLite file."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Table, func, select, text

from fleet.errors.store import DatabaseNotEmptyError
from fleet.store.database import Database
from fleet.store.tables import metadata

ROWS_AT_ONCE = 1000


def dump(source: Connection, file: Path) -> dict[str, int]:
    """Write what a reading connection sees into a new SQLite file; return how many rows of each table."""
    target = Database(file)
    try:
        with target.writing() as connection:
            copied = _copy(source, connection)
        # One file, without a journal beside it.
        with target.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
        return copied
    finally:
        target.close()


def load(file: Path, target: Database) -> dict[str, int]:
    """Copy a SQLite file, of this version or an older one, into an empty database, whole or not at all.

    Raises NewerDatabaseError, DatabaseNotEmptyError or StoreError. The file itself is brought to the newest version.
    """
    source = Database(file)
    try:
        with source.reading() as reading, target.writing() as writing:
            for table in metadata.sorted_tables:
                if writing.execute(select(func.count()).select_from(table)).scalar_one():
                    raise DatabaseNotEmptyError(target.shown, table.name)
            return _copy(reading, writing)
    finally:
        source.close()


def _copy(source: Connection, target: Connection) -> dict[str, int]:
    copied = {table.name: _copy_table(source, target, table) for table in metadata.sorted_tables}
    for table in metadata.sorted_tables:
        _count_on(target, table)
    return copied


def _copy_table(source: Connection, target: Connection, table: Table) -> int:
    count = 0
    rows = source.execute(select(table), execution_options={"yield_per": ROWS_AT_ONCE}).mappings()
    for batch in rows.partitions():
        target.execute(table.insert(), [dict(row) for row in batch])
        count += len(batch)
    return count


def _count_on(target: Connection, table: Table) -> None:
    """Let PostgreSQL give out numbers after those that were copied; SQLite looks for itself."""
    number = table.autoincrement_column
    if target.dialect.name != "postgresql" or number is None:
        return
    highest = target.execute(select(func.max(number))).scalar_one()
    if highest is not None:
        sequence = {"table": table.name, "column": number.name, "highest": highest}
        target.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"), sequence)
