"""Reads how rollouts went on one device, for its history."""

from __future__ import annotations

from sqlalchemy import select

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.rollout.model import Kind
from fleet.store.database import Database
from fleet.store.tables import rollout_devices, rollouts
from fleet.views.rollouts import DeviceRolloutView

# How far back it is looked.
MAX_ROLLOUTS = 100


def taken_part(database: Database, device: str, limit: int) -> tuple[DeviceRolloutView, ...]:
    """Return how those of the newest rollouts went that a device was in, newest first."""
    here, whole = rollout_devices.c, rollouts.c
    columns = (here.rollout, here.phase, here.reason, here.offered_at, here.outcome_at, whole.release, whole.kind, whole.started_at)
    # The key begins with the rollout: asking some rollouts for the device costs one look each, asking all for it a look at everything.
    newest = select(whole.id).order_by(whole.id.desc()).limit(MAX_ROLLOUTS)
    query = select(*columns).join(rollouts, whole.id == here.rollout).where(here.rollout.in_(newest), here.device == device)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(here.rollout.desc()).limit(limit)).all()
    return tuple(
        DeviceRolloutView(
            rollout=row.rollout,
            release=ReleaseRef.model_validate_json(row.release),
            kind=Kind(row.kind).value,
            phase=Phase(row.phase),
            reason=row.reason,
            started_at=row.started_at,
            offered_at=row.offered_at,
            outcome_at=row.outcome_at,
        )
        for row in rows
    )
