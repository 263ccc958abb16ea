"""Answers what devices did under one release: sums over their windows, and the distribution of their latencies."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select

from contracts.sketches import Sketch, merged
from fleet.store.database import Database
from fleet.store.tables import inference_windows


@dataclass(frozen=True)
class Work:
    """What one device did; `latencies` holds the milliseconds of those windows that told them all."""

    windows: int
    requests: int
    errors: int
    latencies: Sketch


class WorkStore:
    """Reads windows for those who judge releases."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def work_since(self, devices: Collection[str], model: str, manifest_sha256: str, since: datetime) -> dict[str, Work]:
        """Return the work of each of the devices that did any; a window counts when it ended after `since`."""
        if not devices:
            return {}
        windows = inference_windows.c
        which = and_(
            windows.device.in_(list(devices)),
            windows.at > since,
            windows.model == model,
            windows.manifest_sha256 == manifest_sha256,
        )
        totals = (func.count(), func.sum(windows.requests), func.sum(windows.errors))
        with self._database.reading() as connection:
            sums = connection.execute(select(windows.device, *totals).where(which).group_by(windows.device)).all()
            told = connection.execute(select(windows.device, windows.latencies).where(which, windows.latencies.is_not(None)))
            texts: dict[str, list[str]] = {}
            for device, text in told:
                texts.setdefault(device, []).append(text)
        return {device: Work(count, requests, errors, _sum_of(texts.get(device, ()))) for device, count, requests, errors in sums}


def _sum_of(texts: Iterable[str]) -> Sketch:
    return merged(map(Sketch.model_validate_json, texts))
