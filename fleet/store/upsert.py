"""Writes rows whose key may be there already, in the words of either database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

INSERT: dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def put(connection: Connection, table: Table, row: Mapping[str, object]) -> None:
    """Keep a row, in place of the one with its key."""
    key = [column.name for column in table.primary_key]
    statement = INSERT[connection.dialect.name](table).values(dict(row))
    values = {name: value for name, value in row.items() if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))


def put_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Keep rows, each in place of the one with its key; all have every column."""
    key = [column.name for column in table.primary_key]
    statement = INSERT[connection.dialect.name](table)
    values = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values), [dict(row) for row in rows])


def add_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Keep those rows whose keys are new, and return how many; rows have the same columns."""
    if not rows:
        return 0
    statement = INSERT[connection.dialect.name](table).on_conflict_do_nothing()
    return connection.execute(statement, [dict(row) for row in rows]).rowcount
