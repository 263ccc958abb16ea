"""Reads and writes rollouts with their devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, Row, Select, select, update

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.rollout import Member, Rollout, State
from fleet.errors import RolloutRunningError, UnknownRolloutError
from fleet.store.database import Database
from fleet.store.rows import ref_from_text, ref_to_text
from fleet.store.tables import rollout_devices, rollouts


class RolloutStore:
    """The rollouts of the fleet."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, rollout: Rollout) -> int:
        """Keep a new rollout, return its number; raise RolloutRunningError while its model has another under way."""
        with self._database.writing() as connection:
            for other in _read(connection, select(rollouts).where(rollouts.c.state == State.RUNNING.value)):
                if other.release.model == rollout.release.model:
                    raise RolloutRunningError(other.release.model, other.id)
            values = {
                "release": ref_to_text(rollout.release),
                "query": rollout.query,
                "deadline_s": rollout.deadline_s,
                "started_at": rollout.started_at,
            }
            inserted = connection.execute(rollouts.insert().values(**values, **_state_columns(rollout)))
            key = inserted.inserted_primary_key
            assert key is not None
            number = int(key[0])
            connection.execute(
                rollout_devices.insert(),
                [
                    {"rollout": number, "device": member.device, "position": position, **_member_columns(member)}
                    for position, member in enumerate(rollout.members)
                ],
            )
        return number

    def save(self, before: Rollout, after: Rollout) -> None:
        """Keep what changed, whole."""
        with self._database.writing() as connection:
            connection.execute(update(rollouts).where(rollouts.c.id == after.id).values(**_state_columns(after)))
            for old, new in zip(before.members, after.members, strict=True):
                if old != new:
                    key = (rollout_devices.c.rollout == after.id) & (rollout_devices.c.device == new.device)
                    connection.execute(update(rollout_devices).where(key).values(**_member_columns(new)))

    def running(self) -> tuple[Rollout, ...]:
        """Return the rollouts under way."""
        with self._database.reading() as connection:
            return _read(connection, select(rollouts).where(rollouts.c.state == State.RUNNING.value))

    def newest(self, limit: int) -> tuple[Rollout, ...]:
        """Return rollouts, newest first."""
        with self._database.reading() as connection:
            return _read(connection, select(rollouts).order_by(rollouts.c.id.desc()).limit(limit))

    def get(self, number: int) -> Rollout:
        """Return one rollout; raise UnknownRolloutError."""
        with self._database.reading() as connection:
            found = _read(connection, select(rollouts).where(rollouts.c.id == number))
        if not found:
            raise UnknownRolloutError(number)
        return found[0]


def _read(connection: Connection, query: Select[tuple[object, ...]]) -> tuple[Rollout, ...]:
    rows = connection.execute(query).all()
    members = _members(connection, [row.id for row in rows])
    return tuple(_rollout_of(row, members[row.id]) for row in rows)


def _members(connection: Connection, numbers: Iterable[int]) -> dict[int, list[Member]]:
    query = select(rollout_devices).where(rollout_devices.c.rollout.in_(numbers)).order_by(rollout_devices.c.position)
    found: defaultdict[int, list[Member]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.rollout].append(_member_of(row))
    return found


def _rollout_of(row: Row[tuple[object, ...]], members: list[Member]) -> Rollout:
    return Rollout(
        id=row.id,
        release=ReleaseRef.model_validate_json(row.release),
        query=row.query,
        deadline_s=row.deadline_s,
        started_at=row.started_at,
        members=tuple(members),
        state=State(row.state),
        state_reason=row.state_reason,
        ended_at=row.ended_at,
    )


def _member_of(row: Row[tuple[object, ...]]) -> Member:
    return Member(
        device=row.device,
        phase=Phase(row.phase),
        baseline=ref_from_text(row.baseline),
        reason=row.reason,
        progress=row.progress,
        generation=row.generation,
        offered_at=row.offered_at,
        earlier_outcome_at=row.earlier_outcome_at,
    )


def _state_columns(rollout: Rollout) -> dict[str, object]:
    return {"state": rollout.state.value, "state_reason": rollout.state_reason, "ended_at": rollout.ended_at}


def _member_columns(member: Member) -> dict[str, object]:
    return {
        "phase": member.phase.value,
        "reason": member.reason,
        "progress": member.progress,
        "baseline": ref_to_text(member.baseline),
        "generation": member.generation,
        "offered_at": member.offered_at,
        "earlier_outcome_at": member.earlier_outcome_at,
    }
