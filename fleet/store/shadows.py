"""Answers how releases in shadow compare with what serves: sums over what devices told of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, func, select, true

from contracts.shadow import ShadowPart, joined_part
from contracts.sketches import Sketch, merged
from fleet.store.database import Database
from fleet.store.tables import shadow_windows

# Windows of which a reader is told: enough to see how it goes, few enough to be read at every look.
MAX_NEWEST = 500
_SUMS = ("compared", "agreed", "errors", "dropped", "paused_s", "scored", "shift", "shift_squares")
_SKETCHES = ("latencies", "live_latencies")
_EMPTY = Sketch(steps=(), counts=())


class ShadowStore:
    """Reads what candidates did, for those who judge them."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def newest(self, manifest_sha256: str, since: datetime, until: datetime | None) -> dict[str, ShadowPart]:
        """Return, by device, what the newest windows between two moments told of a candidate; None for until now."""
        column = shadow_windows.c
        which = and_(column.manifest_sha256 == manifest_sha256, column.at > since, true() if until is None else column.at <= until)
        newest = select(shadow_windows).where(which).order_by(column.at.desc()).limit(MAX_NEWEST)
        told: dict[str, ShadowPart] = {}
        with self._database.reading() as connection:
            for row in connection.execute(newest).mappings():
                sketches = {name: Sketch.model_validate_json(row[name]) for name in _SKETCHES}
                part = ShadowPart(manifest_sha256=manifest_sha256, **{name: row[name] for name in _SUMS}, **sketches)
                told[row["device"]] = joined_part(told.get(row["device"]), part) or part
        return told

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
