"""Reads and writes rollouts with their devices and their history; nobody writes over what he has not read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from contracts.lifecycle import FINAL, Phase
from fleet.acting import concerning
from fleet.core.rollout.history import Entry, ordered_entries
from fleet.core.rollout.interest import INTEREST
from fleet.core.rollout.model import Member, Rollout
from fleet.errors.rollouts import RolloutRunningError, StaleRolloutError, UnknownRolloutError
from fleet.store.database import Database
from fleet.store.rollout_rows import (
    entry_of,
    lasting_columns,
    member_of,
    moving_columns,
    placed_columns,
    rollout_of,
    state_columns,
)
from fleet.store.tables import rollout_devices, rollout_history, rollouts

_MOVING = ("phase", "reason", "progress", "errand", "generation", "offered_at", "met_at", "outcome_at", "is_missing", "is_shadow")
_MOVE = (
    update(rollout_devices)
    .where(rollout_devices.c.rollout == bindparam("of_rollout"), rollout_devices.c.device == bindparam("of_device"))
    .values({name: bindparam(name) for name in _MOVING})
)


@dataclass(frozen=True)
class Crowd:
    """Devices of one wave that stand alike: how many, and how many of them were offered the release, and met since."""

    wave: int
    phase: Phase
    is_settled: bool
    devices: int
    offered: int
    met: int


@dataclass(frozen=True)
class Outline:
    """A rollout without its devices, and how they stand."""

    rollout: Rollout
    crowds: tuple[Crowd, ...]


class RolloutStore:
    """The rollouts of the fleet."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, rollout: Rollout, entry: Entry) -> int:
        """Keep a new rollout, return its number; raise RolloutRunningError while its model has another under way."""
        model = rollout.release.model
        with self._database.writing() as connection:
            is_open = (rollouts.c.model == model) & rollouts.c.ended_at.is_(None)
            other = connection.execute(select(rollouts.c.id).where(is_open)).scalar()
            if other is not None:
                raise RolloutRunningError(model, other)
            values = {**lasting_columns(rollout), **state_columns(rollout), "revision": rollout.revision}
            key = connection.execute(rollouts.insert().values(values)).inserted_primary_key
            assert key is not None
            number = int(key[0])
            concerning(f"rollout {number} of {model}")
            _add_members(connection, number, list(rollout.members.values()), 0)
            _add_entries(connection, number, [entry])
        return number

    def save(self, before: Rollout, after: Rollout, entries: Sequence[Entry]) -> Rollout:
        """Keep what changed, whole, and return it with its new revision; raise StaleRolloutError."""
        with self._database.writing() as connection:
            return _save(connection, before, after, entries)

    def change(self, number: int, change: Callable[[Rollout], Rollout], entry: Entry) -> None:
        """Change a rollout while nobody else can, and keep what that did; raise UnknownRolloutError, and whatever `change` raises."""
        with self._database.writing() as connection:
            before = _read(connection, number)
            after = change(before)
            _save(connection, before, after, ordered_entries(before, after, entry))

    def open_revisions(self) -> dict[int, int]:
        """Return the revision of each rollout that is followed."""
        with self._database.reading() as connection:
            rows = connection.execute(select(rollouts.c.id, rollouts.c.revision).where(rollouts.c.ended_at.is_(None)))
            return {row.id: row.revision for row in rows}

    def open_with(self, device: str) -> tuple[int, ...]:
        """Return the rollouts under way that a device is in."""
        is_in = (rollout_devices.c.rollout == rollouts.c.id) & (rollout_devices.c.device == device)
        query = select(rollouts.c.id).join(rollout_devices, is_in).where(rollouts.c.ended_at.is_(None)).order_by(rollouts.c.id)
        with self._database.reading() as connection:
            return tuple(connection.execute(query).scalars())

    def get(self, number: int) -> Rollout:
        """Return one rollout; raise UnknownRolloutError."""
        with self._database.reading() as connection:
            return _read(connection, number)

    def newest(self, limit: int, before: int | None = None) -> tuple[Outline, ...]:
        """Return rollouts, newest first, those that were begun before one."""
        query = select(rollouts).order_by(rollouts.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            rows = connection.execute(query if before is None else query.where(rollouts.c.id < before)).all()
            crowds = _crowds(connection, [row.id for row in rows])
        return tuple(Outline(rollout_of(row, []), crowds[row.id]) for row in rows)

    def outline(self, number: int) -> Outline:
        """Return one rollout without reading its devices one by one; raise UnknownRolloutError."""
        with self._database.reading() as connection:
            rollout = rollout_of(_row(connection, number), [])
            return Outline(rollout, _crowds(connection, [number])[number])

    def members(self, number: int, phases: Collection[Phase], limit: int, after: int | None = None) -> tuple[tuple[int, Member], ...]:
        """Return devices of a rollout with their places in its order, those in some phases or all; raise UnknownRolloutError."""
        device = rollout_devices.c
        query = select(rollout_devices).where(device.rollout == number).order_by(device.position).limit(limit)
        if after is not None:
            query = query.where(device.position > after)
        if phases:
            query = query.where(device.phase.in_([phase.value for phase in phases]))
        with self._database.reading() as connection:
            _row(connection, number)
            return tuple((row.position, member_of(row)) for row in connection.execute(query))

    def by_interest(self, number: int, phase: Phase | None, start: int, limit: int) -> tuple[Member, ...]:
        """Return devices of a rollout in one phase or in any, those that people want to see first, from the `start`-th on."""
        device = rollout_devices.c
        rank = case(*((device.phase.in_([each.value for each in phases]), place) for place, phases in enumerate(INTEREST)))
        query = select(rollout_devices).where(device.rollout == number).order_by(rank, device.position)
        if phase is not None:
            query = query.where(device.phase == phase.value)
        with self._database.reading() as connection:
            return tuple(map(member_of, connection.execute(query.offset(start).limit(limit))))

    def history(self, number: int, limit: int, before: int | None = None) -> tuple[tuple[int, Entry], ...]:
        """Return a rollout's lines with their numbers, newest first, those before a number; raise UnknownRolloutError."""
        query = select(rollout_history).where(rollout_history.c.rollout == number).order_by(rollout_history.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            _row(connection, number)
            rows = connection.execute(query if before is None else query.where(rollout_history.c.id < before))
            return tuple((row.id, entry_of(row)) for row in rows)


def _row(connection: Connection, number: int) -> Row[tuple[object, ...]]:
    row = connection.execute(select(rollouts).where(rollouts.c.id == number)).first()
    if row is None:
        raise UnknownRolloutError(number)
    return row


def _crowds(connection: Connection, numbers: Collection[int]) -> dict[int, tuple[Crowd, ...]]:
    device = rollout_devices.c
    alike = (device.rollout, device.wave, device.phase, device.is_missing)
    query = select(
        *alike, func.count().label("devices"), func.count(device.offered_at).label("offered"), func.count(device.met_at).label("met")
    )
    found: dict[int, list[Crowd]] = {number: [] for number in numbers}
    for row in connection.execute(query.where(device.rollout.in_(numbers)).group_by(*alike).order_by(*alike)):
        phase = Phase(row.phase)
        found[row.rollout].append(Crowd(row.wave, phase, phase in FINAL or row.is_missing, row.devices, row.offered, row.met))
    return {number: tuple(crowds) for number, crowds in found.items()}


def _read(connection: Connection, number: int) -> Rollout:
    row = _row(connection, number)
    query = select(rollout_devices).where(rollout_devices.c.rollout == number).order_by(rollout_devices.c.position)
    return rollout_of(row, list(map(member_of, connection.execute(query))))


def _save(connection: Connection, before: Rollout, after: Rollout, entries: Sequence[Entry]) -> Rollout:
    key = (rollouts.c.id == after.id) & (rollouts.c.revision == before.revision)
    kept = connection.execute(update(rollouts).where(key).values(**state_columns(after), revision=before.revision + 1))
    if kept.rowcount != 1:
        raise StaleRolloutError(after.id, before.revision)
    known = before.members
    changed = [member for device, member in after.members.items() if device in known and known[device] is not member]
    if changed:
        rows = [{"of_rollout": after.id, "of_device": member.device, **moving_columns(member)} for member in changed]
        connection.execute(_MOVE, rows)
    _add_members(connection, after.id, [member for device, member in after.members.items() if device not in known], len(known))
    _add_entries(connection, after.id, entries)
    return replace(after, revision=before.revision + 1)


def _add_members(connection: Connection, number: int, members: Sequence[Member], first: int) -> None:
    rows = [
        {"rollout": number, "device": member.device, "position": position, **placed_columns(member), **moving_columns(member)}
        for position, member in enumerate(members, first)
    ]
    if rows:
        connection.execute(rollout_devices.insert(), rows)


def _add_entries(connection: Connection, number: int, entries: Sequence[Entry]) -> None:
    rows = [{"rollout": number, "at": entry.at, "actor": entry.actor, "act": entry.act, "text": entry.text} for entry in entries]
    if rows:
        connection.execute(rollout_history.insert(), rows)
