"""Answers how releases in shadow compare with what serves: sums over what devices told of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, func, select

from contracts.shadow import ShadowPart
from contracts.sketches import Sketch, merged
from fleet.store.database import Database
from fleet.store.tables import shadow_windows

_SUMS = ("compared", "agreed", "errors", "dropped", "paused_s", "scored", "shift", "shift_squares")
_SKETCHES = ("latencies", "live_latencies")
_EMPTY = Sketch(steps=(), counts=())


class ShadowStore:
    """Reads what candidates did, for those who judge them."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def shadows_since(
        self, devices: Collection[str], manifest_sha256: str, since: datetime, *, with_latencies: bool
    ) -> dict[str, ShadowPart]:
        """Return what each of the devices told of a candidate after `since`; the latencies are many rows, and left out unless asked for."""
        column = shadow_windows.c
        which = and_(column.device.in_(list(devices)), column.at > since, column.manifest_sha256 == manifest_sha256)
        totals = [func.sum(column[name]).label(name) for name in _SUMS]
        told: dict[str, dict[str, list[Sketch]]] = {}
        with self._database.reading() as connection:
            sums = connection.execute(select(column.device, *totals).where(which).group_by(column.device)).all()
            if with_latencies:
                for row in connection.execute(select(column.device, *(column[name] for name in _SKETCHES)).where(which)):
                    sketches = told.setdefault(row.device, {name: [] for name in _SKETCHES})
                    for name in _SKETCHES:
                        sketches[name].append(Sketch.model_validate_json(row._mapping[name]))
        return {
            row.device: ShadowPart(
                manifest_sha256=manifest_sha256,
                **{name: row._mapping[name] for name in _SUMS},
                **{name: merged(told[row.device][name]) if row.device in told else _EMPTY for name in _SKETCHES},
            )
            for row in sums
        }
