"""Reads and writes each device's newest signed wish, and whether the broker has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, bindparam, delete, select, update

from contracts import codec
from contracts.configuration import Configuration
from contracts.downlinks import Desired
from contracts.messages import ReleaseRef
from fleet.store.database import Database
from fleet.store.devices import batches
from fleet.store.rows import REF_BY_MODEL, SHADOW_BY_MODEL, refs_to_text
from fleet.store.tables import departures, devices, wishes

_PUBLISHED = (
    update(wishes).where(wishes.c.device == bindparam("of_device"), wishes.c.generation == bindparam("of_generation")).values(published=1)
)


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
            found = (row for batch in batches(devices) for row in connection.execute(select(wishes).where(wishes.c.device.in_(batch))))
            return {row.device: _wish_of(row) for row in found}

    def wanted(self, devices: Iterable[str], model: str) -> dict[str, ReleaseRef | None]:
        """Return which release of a model each of these devices is to run, None for none; who was never told is missing."""
        texts: dict[str, str] = {}
        with self._database.reading() as connection:
            for batch in batches(devices):
                found = connection.execute(select(wishes.c.device, wishes.c.models).where(wishes.c.device.in_(batch)))
                texts.update((row.device, row.models) for row in found)
        # Most of a fleet is to run the same.
        read = {text: REF_BY_MODEL.validate_json(text).get(model) for text in set(texts.values())}
        return {device: read[text] for device, text in texts.items()}

    def put_all(self, signed: Sequence[tuple[Desired, bytes]]) -> None:
        """Keep wishes in the place of their devices' older ones, not yet published; none for a device that was removed meanwhile."""
        if not signed:
            return
        with self._database.writing() as connection:
            gone = set(connection.execute(select(departures.c.device).where(departures.c.device.not_in(select(devices.c.id)))).scalars())
            rows = [_columns_of(wish, envelope) for wish, envelope in signed if wish.device not in gone]
            if rows:
                for batch in batches(str(row["device"]) for row in rows):
                    connection.execute(delete(wishes).where(wishes.c.device.in_(batch)))
                connection.execute(wishes.insert(), rows)

    def floors(self, names: Collection[str]) -> dict[str, int]:
        """Return the generation that each of these names had come to when its device was removed; only of those that were."""
        with self._database.reading() as connection:
            query = select(departures.c.device, departures.c.generation)
            found = (row for batch in batches(names) for row in connection.execute(query.where(departures.c.device.in_(batch))))
            return {row.device: row.generation for row in found}

    def unpublished(self, limit: int) -> tuple[SignedWish, ...]:
        """Return wishes that the broker may not have."""
        with self._database.reading() as connection:
            rows = connection.execute(select(wishes).where(wishes.c.published == 0).order_by(wishes.c.device).limit(limit)).all()
        return tuple(SignedWish(_wish_of(row), row.envelope) for row in rows)

    def published(self, sent: Sequence[Desired]) -> None:
        """Note that the broker has them, except where a newer one was put meanwhile."""
        if sent:
            with self._database.writing() as connection:
                connection.execute(_PUBLISHED, [{"of_device": wish.device, "of_generation": wish.generation} for wish in sent])

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
        shadow=None if row.shadow is None else SHADOW_BY_MODEL.validate_json(row.shadow),
    )


def _columns_of(wish: Desired, envelope: bytes) -> dict[str, object]:
    return {
        "device": wish.device,
        "generation": wish.generation,
        "issued_at": wish.issued_at,
        "expires_at": wish.expires_at,
        "models": refs_to_text(wish.models),
        "configuration": None if wish.configuration is None else codec.encode(wish.configuration).decode(),
        "shadow": None if wish.shadow is None else SHADOW_BY_MODEL.dump_json(wish.shadow).decode(),
        "envelope": envelope,
        "published": 0,
    }
