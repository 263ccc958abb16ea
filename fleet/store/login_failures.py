"""Counts logins that fail, for all servers and over restarts, and says who has to wait before the next attempt counts."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime

from sqlalchemy import delete, select, update

from fleet.core.logins import FORGET_AFTER, wait_after
from fleet.errors.people import TooManyLoginsError
from fleet.store.database import Database
from fleet.store.tables import login_failures
from fleet.store.upsert import put


class LoginFailureStore:
    """An attempt counts as failed from its beginning until it succeeds: many at once do not slip through."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def begin(self, name: str, address: str, now: datetime) -> None:
        """Count an attempt; raise TooManyLoginsError, which counts nothing, while the name or the address has to wait."""
        keys = keys_of(name, address)
        with self._database.writing() as connection:
            connection.execute(delete(login_failures).where(login_failures.c.forgotten_at <= now))
            rows = {row.key: row for row in connection.execute(select(login_failures).where(login_failures.c.key.in_(keys)))}
            free_at = max((row.free_at for row in rows.values()), default=now)
            if free_at > now:
                raise TooManyLoginsError(math.ceil((free_at - now).total_seconds()))
            for key in keys:
                failures = rows[key].failures + 1 if key in rows else 1
                free_at = now + wait_after(key.partition(" ")[0], failures)
                row = {"key": key, "failures": failures, "free_at": free_at, "forgotten_at": free_at + FORGET_AFTER}
                put(connection, login_failures, row)

    def succeeded(self, name: str, address: str, now: datetime) -> None:
        """Forget what failed for a name; of an address, which others may use too, only this attempt."""
        by_name, by_address = keys_of(name, address)
        one_less = {"failures": login_failures.c.failures - 1, "free_at": now}
        with self._database.writing() as connection:
            connection.execute(delete(login_failures).where(login_failures.c.key == by_name))
            connection.execute(update(login_failures).where(login_failures.c.key == by_address).values(one_less))


def keys_of(name: str, address: str) -> tuple[str, str]:
    """Return what attempts are counted by. Names share 65 536 counters: people type passwords there by mistake, and none may be kept."""
    return f"name {hashlib.sha256(name.encode(errors='replace')).hexdigest()[:4]}", f"address {address[:48]}"
