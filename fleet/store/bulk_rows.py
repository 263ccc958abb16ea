"""Touches tables with many rows at once, past the ORM and its compiler: one way for each database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Column, Connection, Table

# Values in the order of the table's columns, as the database keeps them.
Row = tuple[object, ...]
# Two columns of one table.
Pair = tuple[Column[Any], Column[Any]]


class BulkRows(Protocol):
    """What ingest needs of a database."""

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows whose key is not there; leave the others as they are."""

    def put(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows, or replace those of the same key; no key comes twice."""

    def change(self, connection: Connection, column: Column[Any], values: Sequence[tuple[object, object]]) -> None:
        """Set one column; each value comes with the key of its row."""

    def pick(self, connection: Connection, columns: Sequence[Column[Any]], by: Pair, keys: Sequence[tuple[str, str]]) -> Sequence[Any]:
        """Return columns of the rows in which two others have one of so many pairs of values, as the database keeps them."""


class SqliteRows:
    """Prepared statements: a row costs what SQLite takes for it."""

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows whose key is not there; in its order, so that those that lie beside each other are written together."""
        if rows:
            ordered = sorted(rows, key=itemgetter(*range(len(table.primary_key.columns))))
            connection.exec_driver_sql(_insert(table) + " ON CONFLICT DO NOTHING", ordered)

    def put(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert or replace."""
        if rows:
            connection.exec_driver_sql(_insert(table) + _replace(table), list(rows))

    def change(self, connection: Connection, column: Column[Any], values: Sequence[tuple[object, object]]) -> None:
        """Set one column."""
        if values:
            connection.exec_driver_sql(_change(column, "?"), list(values))

    def pick(self, connection: Connection, columns: Sequence[Column[Any]], by: Pair, keys: Sequence[tuple[str, str]]) -> Sequence[Any]:
        """Return rows; a list of pairs would make SQLite look through the whole table, a join looks each up."""
        if not keys:
            return ()
        wanted = "json_each(?) AS wanted CROSS JOIN"
        ends = (f"{by[place]} = json_extract(wanted.value, '$[{place}]')" for place in (0, 1))
        return connection.exec_driver_sql(_pick(columns, by, wanted, *ends), (json.dumps(keys),)).fetchall()


class PostgresRows:
    """COPY into a table of the transaction's own, and from there in one statement."""

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows whose key is not there."""
        self._copy(connection, table, rows, " ON CONFLICT DO NOTHING")

    def put(self, connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        """Insert or replace."""
        self._copy(connection, table, rows, _replace(table))

    def change(self, connection: Connection, column: Column[Any], values: Sequence[tuple[object, object]]) -> None:
        """Set one column."""
        if values:
            connection.exec_driver_sql(_change(column, "%s"), list(values))

    def pick(self, connection: Connection, columns: Sequence[Column[Any]], by: Pair, keys: Sequence[tuple[str, str]]) -> Sequence[Any]:
        """Return rows."""
        if not keys:
            return ()
        wanted = "unnest(%s::text[], %s::text[]) AS wanted(one, other) JOIN"
        halves = tuple(map(list, zip(*keys, strict=True)))
        return connection.exec_driver_sql(_pick(columns, by, wanted, f"{by[0]} = wanted.one", f"{by[1]} = wanted.other"), halves).fetchall()

    def _copy(self, connection: Connection, table: Table, rows: Sequence[Row], on_conflict: str) -> None:
        if not rows:
            return
        arriving, columns = f"arriving_{table.name}", _columns(table)
        connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {arriving} (LIKE {table.name}) ON COMMIT DELETE ROWS")
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor:
            with cursor.copy(f"COPY {arriving} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            # Sorted by key, so that replicas that write the same rows never wait for each other in a circle.
            chosen = f"SELECT {columns} FROM {arriving} ORDER BY {_key(table)}"  # noqa: S608 - names of our own tables
            cursor.execute(f"INSERT INTO {table.name} ({columns}) {chosen}{on_conflict}")
            cursor.execute(f"TRUNCATE {arriving}")


ROWS: dict[str, BulkRows] = {"sqlite": SqliteRows(), "postgresql": PostgresRows()}


def bulk_rows(connection: Connection) -> BulkRows:
    """Return the way of a connection's database."""
    return ROWS[connection.dialect.name]


def _pick(columns: Sequence[Column[Any]], by: Pair, wanted: str, *ends: str) -> str:
    return f"SELECT {', '.join(map(str, columns))} FROM {wanted} {by[0].table} ON {' AND '.join(ends)}"  # noqa: S608 - as below


@cache
def _insert(table: Table) -> str:
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT INTO {table.name} ({_columns(table)}) VALUES ({marks})"  # noqa: S608 - names of our own tables


@cache
def _change(column: Column[Any], mark: str) -> str:
    return f"UPDATE {column.table} SET {_quoted(column.name)} = {mark} WHERE {_key(column.table)} = {mark}"  # noqa: S608 - as above


@cache
def _replace(table: Table) -> str:
    keys = set(table.primary_key.columns.keys())
    changes = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in table.columns.keys() if name not in keys)  # noqa: SIM118
    return f" ON CONFLICT ({_key(table)}) DO UPDATE SET {changes}"


@cache
def _columns(table: Table) -> str:
    return ", ".join(map(_quoted, table.columns.keys()))


@cache
def _key(table: Table) -> str:
    return ", ".join(map(_quoted, table.primary_key.columns.keys()))


def _quoted(name: str) -> str:
    return f'"{name}"'
