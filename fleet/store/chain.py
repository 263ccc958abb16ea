"""Appends rows to the audit log: one after the other, because whoever writes holds the database's one lock for writers."""

from __future__ import annotations

from sqlalchemy import Connection, select

from fleet.acting import Acting
from fleet.core.audit import GENESIS, link
from fleet.store.tables import audit


def append(connection: Connection, act: Acting) -> None:
    """Keep an act within a writing transaction: if that fails, so does the row."""
    newest = connection.execute(select(audit.c.number, audit.c.sha256).order_by(audit.c.number.desc()).limit(1)).first()
    entry = act.entry(1 if newest is None else newest.number + 1)
    digest = link(GENESIS if newest is None else newest.sha256, entry)
    connection.execute(audit.insert().values(**entry.model_dump(), sha256=digest))
