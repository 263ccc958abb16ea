"""Keeps which servers share what devices say, and when each last told that it hears; by the database's own clock."""

from __future__ import annotations

from sqlalchemy import Float, cast, delete, extract, func, select, update

from fleet.core.inheritance import FORGET_S, SILENT_S, Replica
from fleet.store.database import Database
from fleet.store.tables import replicas
from fleet.store.upsert import put

_NOW_S = cast(extract("epoch", func.now()), Float)


class ReplicaStore:
    """One row for each name; a row is right whatever others write meanwhile."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def tell(self, name: str) -> None:
        """Note that this server hears the devices now."""
        with self._database.appending() as connection:
            put(connection, replicas, {"name": name, "seen_s": _NOW_S})

    def leave(self, name: str) -> None:
        """Note that this server hears them no more, so that nobody has to wait until it is taken for gone."""
        with self._database.appending() as connection:
            connection.execute(update(replicas).where(replicas.c.name == name).values(seen_s=_NOW_S - SILENT_S))

    def all(self) -> tuple[Replica, ...]:
        """Return all that ever told and are not forgotten."""
        with self._database.reading() as connection:
            rows = connection.execute(select(replicas.c.name, (_NOW_S - replicas.c.seen_s).label("silent_s")).order_by(replicas.c.name))
            return tuple(Replica(row.name, row.silent_s) for row in rows)

    def forget(self, name: str) -> None:
        """Forget one, unless it has come back."""
        with self._database.appending() as connection:
            connection.execute(delete(replicas).where(replicas.c.name == name, replicas.c.seen_s <= _NOW_S - FORGET_S))
