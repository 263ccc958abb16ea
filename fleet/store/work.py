"""Answers what devices did under one release: sums over their windows, those that were summed up already, and their distributions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, select

from contracts.messages import ReleaseRef
from contracts.sketches import Sketch
from fleet.core.gates.answers import Answers
from fleet.store.database import Database
from fleet.store.devices import batches
from fleet.store.rows import COUNT_BY_NAME
from fleet.store.sketch_text import add_bins
from fleet.store.tables import inference_windows, work_buckets


@dataclass(frozen=True)
class Work:
    """What one device did; `latencies` holds the milliseconds of those windows that told them all."""

    requests: int
    errors: int
    latencies: Sketch
    answers: Answers


@dataclass
class _Sum:
    """What is summed up row by row."""

    requests: int = 0
    errors: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    confidences: Counter[int] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)

    def add(self, requests: int, errors: int, sketches: tuple[str | None, str | None], classes: str) -> None:
        self.requests += requests
        self.errors += errors
        for bins, text in zip((self.latencies, self.confidences), sketches, strict=True):
            add_bins(bins, text)
        self.classes.update(COUNT_BY_NAME.validate_json(classes))

    def whole(self) -> Work:
        return Work(self.requests, self.errors, Sketch.of(self.latencies), Answers(self.classes, Sketch.of(self.confidences)))


class WorkStore:
    """Reads windows for those who judge releases."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def work_since(self, devices: Collection[str], release: ReleaseRef, since: datetime, until: datetime | None = None) -> dict[str, Work]:
        """Return the work of each of the devices that did any; a window counts when it ended after `since`, and not after `until`.

        Of windows that were summed up, the spans count that began in this time; they tell releases apart by their counters.
        """
        sums: defaultdict[str, _Sum] = defaultdict(_Sum)
        windows, buckets = inference_windows.c, work_buckets.c
        which = and_(windows.model == release.model, windows.manifest_sha256 == release.manifest_sha256)
        summed = and_(buckets.model == release.model, buckets.release == release.release)
        with self._database.reading() as connection:
            for batch in batches(devices):
                for table, condition in ((inference_windows, which), (work_buckets, summed)):
                    after = table.c.at > since if until is None else and_(table.c.at > since, table.c.at <= until)
                    _add_up(connection, table, and_(table.c.device.in_(batch), after, condition), sums)
        return {device: total.whole() for device, total in sums.items()}


def _add_up(connection: Connection, table: Table, which: ColumnElement[bool], sums: defaultdict[str, _Sum]) -> None:
    columns = table.c
    wanted = (columns.device, columns.requests, columns.errors, columns.latencies, columns.confidences, columns.classes)
    for device, requests, errors, latencies, confidences, classes in connection.execute(select(*wanted).where(which)):
        sums[device].add(requests, errors, (latencies, confidences), classes)
