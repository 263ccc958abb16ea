"""Keeps for a day what requests with an idempotency key were answered, so that one that is sent again does nothing twice."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from fleet.core.repeats import KeptAnswer
from fleet.errors.repeats import KeyBusyError, KeyReusedError, TooManyKeysError
from fleet.store.database import Database
from fleet.store.tables import repeats

RETENTION = timedelta(days=1)
MAX_KEYS_OF_OWNER = 10_000
# A larger answer is not kept, only that there was one.
MAX_SEALED_BYTES = 64 * 1024


class RepeatStore:
    """Keys by owner."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def claim(self, owner: str, key: str, request_sha256: str, now: datetime) -> KeptAnswer | None:
        """Return what the request was answered before; None for a new one, which is then under way.

        Raises KeyReusedError for another request, KeyBusyError for one that has no answer yet, and TooManyKeysError.
        """
        mine = (repeats.c.owner == owner) & (repeats.c.key == key)
        with self._database.writing() as connection:
            connection.execute(delete(repeats).where(repeats.c.at < now - RETENTION))
            row = connection.execute(select(repeats).where(mine)).first()
            if row is None:
                if connection.execute(select(func.count()).where(repeats.c.owner == owner)).scalar_one() >= MAX_KEYS_OF_OWNER:
                    raise TooManyKeysError(MAX_KEYS_OF_OWNER)
                values = {"owner": owner, "key": key, "request_sha256": request_sha256, "at": now}
                connection.execute(repeats.insert().values(values))
                return None
        if row.request_sha256 != request_sha256:
            raise KeyReusedError(key)
        if row.status is None:
            raise KeyBusyError(key, "one under way, or cut off before its answer; look whether it took effect")
        if row.sealed is None:
            raise KeyBusyError(key, f"status {row.status} and an answer too large to be kept; look at what it made")
        return KeptAnswer(row.status, row.etag, row.sealed)

    def keep(self, owner: str, key: str, answer: KeptAnswer) -> None:
        """Keep the answer of a request that is under way."""
        sealed = answer.sealed if len(answer.sealed) <= MAX_SEALED_BYTES else None
        mine = (repeats.c.owner == owner) & (repeats.c.key == key)
        with self._database.writing() as connection:
            connection.execute(update(repeats).where(mine).values(status=answer.status, etag=answer.etag, sealed=sealed))

    def release(self, owner: str, key: str) -> None:
        """Forget a request that was refused: it changed nothing, and may come again."""
        with self._database.writing() as connection:
            connection.execute(delete(repeats).where((repeats.c.owner == owner) & (repeats.c.key == key)))
