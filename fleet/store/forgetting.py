"""Deletes rows that grew too old, so few at a time that whoever else writes hardly waits."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from sqlalchemy import Column, delete, select, tuple_

from fleet.store.database import Database

# Some ten milliseconds of work.
BATCH_ROWS = 500
# Between two changes of one who makes many: a lock that is let go of and taken again at once is never given to anybody else.
PAUSE_S = 0.002
# In one call; what is left has time until the next.
MAX_BATCHES = 2000


def forget(database: Database, at: Column[Any], before: datetime) -> int:
    """Delete a table's rows whose time in column `at` lies before another, the oldest first; return how many."""
    table, gone = at.table, 0
    key = list(table.primary_key)
    oldest = select(*key).where(at < before).order_by(at).limit(BATCH_ROWS)
    for _ in range(MAX_BATCHES):
        with database.appending() as connection:
            found = connection.execute(delete(table).where(tuple_(*key).in_(oldest))).rowcount
        gone += found
        if found < BATCH_ROWS:
            break
        breathe()
    return gone


def breathe() -> None:
    """Let others write."""
    time.sleep(PAUSE_S)
