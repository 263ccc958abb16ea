"""Reads and writes the list of releases that were admitted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, func, literal, select, tuple_

from contracts.manifest import Manifest, Verdict
from contracts.messages import ReleaseRef
from fleet.acting import concerning
from fleet.core.releases import drops_of, worst_verdict
from fleet.errors.releases import UnknownReleaseError
from fleet.store.database import Database
from fleet.store.rows import NAMES, NUMBER_BY_NAME
from fleet.store.tables import Stamp, releases
from fleet.store.upsert import put


@dataclass(frozen=True)
class Release:
    """One release, as lists show it."""

    ref: ReleaseRef
    targets: tuple[str, ...]
    bytes: int
    verdict: Verdict
    drops: dict[str, float]
    added_at: datetime


class ReleaseStore:
    """The releases of the fleet."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, manifest: Manifest, now: datetime) -> None:
        """Keep a release, in place of one with the same counter."""
        row = {
            "model": manifest.name,
            "release": manifest.release,
            "manifest_sha256": manifest.sha256,
            "targets": json.dumps(sorted(manifest.artifacts)),
            "bytes": sum(entry.bytes for entry in manifest.files.values()),
            "verdict": worst_verdict(manifest),
            "drops": json.dumps(drops_of(manifest)),
            "added_at": now,
        }
        concerning(f"{manifest.name} {manifest.release}")
        with self._database.writing() as connection:
            put(connection, releases, row)

    def get(self, model: str, release: int | None) -> Release:
        """Return one release of a model, or its newest; raise UnknownReleaseError."""
        newest = select(func.max(releases.c.release)).where(releases.c.model == model).scalar_subquery()
        wanted = newest if release is None else release
        with self._database.reading() as connection:
            row = connection.execute(select(releases).where(releases.c.model == model, releases.c.release == wanted)).first()
        if row is None:
            raise UnknownReleaseError(model, release)
        return _release_of(row)

    def newest(self, limit: int, before: tuple[datetime, int, str] | None = None) -> tuple[Release, ...]:
        """Return releases, newest first, those before the time, counter and model of one."""
        key = (releases.c.added_at, releases.c.release, releases.c.model)
        query = select(releases).order_by(*(column.desc() for column in key)).limit(limit)
        if before is not None:
            at, release, model = before
            query = query.where(tuple_(*key) < tuple_(literal(at, Stamp), literal(release), literal(model)))
        with self._database.reading() as connection:
            return tuple(map(_release_of, connection.execute(query)))


def _release_of(row: Row[tuple[object, ...]]) -> Release:
    return Release(
        ReleaseRef(model=row.model, release=row.release, manifest_sha256=row.manifest_sha256),
        NAMES.validate_json(row.targets),
        row.bytes,
        row.verdict,
        NUMBER_BY_NAME.validate_json(row.drops),
        row.added_at,
    )
