"""Reads and writes each device's newest signed wish, and whether the broker has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, delete, select, update

from contracts import codec
from contracts.configuration import Configuration
from contracts.messages import Desired
from fleet.store.database import Database
from fleet.store.rows import REF_BY_MODEL, refs_to_text
from fleet.store.tables import wishes


@dataclass(frozen=True)
class SignedWish:
    """A wish, and the envelope that carries it."""

    wish: Desired
    envelope: bytes


class WishStore:
    """What the fleet wants of each device."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def get(self, device: str) -> Desired | None:
        """Return a device's newest wish."""
        with self._database.reading() as connection:
            row = connection.execute(select(wishes).where(wishes.c.device == device)).first()
        return None if row is None else _wish_of(row)

    def of(self, devices: Sequence[str]) -> dict[str, Desired]:
        """Return the newest wishes of some devices."""
        with self._database.reading() as connection:
            return {row.device: _wish_of(row) for row in connection.execute(select(wishes).where(wishes.c.device.in_(devices)))}

    def put_all(self, signed: Sequence[tuple[Desired, bytes]]) -> None:
        """Keep wishes in the place of their devices' older ones, not yet published."""
        if signed:
            with self._database.writing() as connection:
                connection.execute(delete(wishes).where(wishes.c.device.in_([wish.device for wish, _ in signed])))
                connection.execute(wishes.insert(), [_columns_of(wish, envelope) for wish, envelope in signed])

    def unpublished(self, limit: int) -> tuple[SignedWish, ...]:
        """Return wishes that the broker may not have."""
        with self._database.reading() as connection:
            rows = connection.execute(select(wishes).where(wishes.c.published == 0).order_by(wishes.c.device).limit(limit)).all()
        return tuple(SignedWish(_wish_of(row), row.envelope) for row in rows)

    def published(self, wish: Desired) -> None:
        """Note that the broker has it, unless a newer one was put meanwhile."""
        key = (wishes.c.device == wish.device) & (wishes.c.generation == wish.generation)
        with self._database.writing() as connection:
            connection.execute(update(wishes).where(key).values(published=1))

    def publish_all_again(self) -> None:
        """Note that the broker may have lost every wish."""
        with self._database.writing() as connection:
            connection.execute(update(wishes).values(published=0))

    def issued_before(self, moment: datetime) -> tuple[Desired, ...]:
        """Return wishes that were issued before a moment."""
        with self._database.reading() as connection:
            rows = connection.execute(select(wishes).where(wishes.c.issued_at < moment)).all()
        return tuple(map(_wish_of, rows))


def _wish_of(row: Row[tuple[object, ...]]) -> Desired:
    return Desired(
        device=row.device,
        generation=row.generation,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        models=REF_BY_MODEL.validate_json(row.models),
        configuration=None if row.configuration is None else Configuration.model_validate_json(row.configuration),
    )


def _columns_of(wish: Desired, envelope: bytes) -> dict[str, object]:
    return {
        "device": wish.device,
        "generation": wish.generation,
        "issued_at": wish.issued_at,
        "expires_at": wish.expires_at,
        "models": refs_to_text(wish.models),
        "configuration": None if wish.configuration is None else codec.encode(wish.configuration).decode(),
        "envelope": envelope,
        "published": 0,
    }
