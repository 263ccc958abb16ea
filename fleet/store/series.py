"""How points of a time series lie in rows: as they came, and summed up over spans of time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sqlalchemy import Row, Table

from fleet.core.summaries import Gauge, Work, joined_gauge, joined_work
from fleet.store.rows import COUNT_BY_NAME
from fleet.store.sketch_text import sketch_of, text_of
from fleet.store.tables import EPOCH, GAUGES, health_buckets, health_points, inference_windows, work_buckets

AnyRow = Row[tuple[object, ...]]
Sum = TypeVar("Sum")


@dataclass(frozen=True)
class Slot:
    """A span of time, and of whose points: nothing besides the device for health, model and release for inference."""

    at: datetime
    of: tuple[object, ...]


class Series(Protocol[Sum]):
    """One kind of points and of their sums."""

    raw: Table
    buckets: Table
    # Columns that tell apart what one device sends of a kind.
    names: tuple[str, ...]

    def of_point(self, row: AnyRow) -> Sum:
        """Read a point as it came."""

    def of_bucket(self, row: AnyRow) -> Sum:
        """Read a sum."""

    def columns(self, total: Sum) -> Mapping[str, object]:
        """Write a sum."""

    def joined(self, parts: Sequence[Sum]) -> Sum:
        """Sum up parts, the newest last."""


def start_of(at: datetime, span: timedelta) -> datetime:
    """Return when the span began that a time lies in."""
    return at - (at - EPOCH) % span


def sums(series: Series[Sum], points: Iterable[AnyRow], buckets: Iterable[AnyRow], span: timedelta) -> dict[Slot, Sum]:
    """Sum points and smaller sums up over spans, in order of time; each of the inputs is the older one first."""
    parts: defaultdict[Slot, list[Sum]] = defaultdict(list)
    for rows, read in ((buckets, series.of_bucket), (points, series.of_point)):
        for row in rows:
            slot = Slot(start_of(row.at, span), tuple(row._mapping[name] for name in series.names))
            parts[slot].append(read(row))
    return {slot: series.joined(parts[slot]) for slot in sorted(parts, key=lambda slot: slot.at)}


@dataclass(frozen=True)
class Vitals:
    """The gauges of a device's health; None for one that was never measured."""

    gauges: Mapping[str, Gauge | None]


class HealthSeries:
    """Health messages."""

    raw = health_points
    buckets = health_buckets
    names: tuple[str, ...] = ()

    def of_point(self, row: AnyRow) -> Vitals:
        """Read a point as it came."""
        return Vitals({name: Gauge.of([row._mapping[column]]) for name, column in GAUGES.items()})

    def of_bucket(self, row: AnyRow) -> Vitals:
        """Read a sum."""
        return Vitals({name: _gauge_of(row, name) for name in GAUGES})

    def columns(self, total: Vitals) -> Mapping[str, object]:
        """Write a sum."""
        columns: dict[str, object] = {}
        for name, gauge in total.gauges.items():
            count, summed, lowest, highest = (gauge.count, gauge.total, gauge.lowest, gauge.highest) if gauge else (0, None, None, None)
            columns |= {f"{name}_count": count, f"{name}_total": summed, f"{name}_lowest": lowest, f"{name}_highest": highest}
        return columns

    def joined(self, parts: Sequence[Vitals]) -> Vitals:
        """Sum up parts."""
        return Vitals({name: joined_gauge(part.gauges[name] for part in parts) for name in GAUGES})


def _gauge_of(row: AnyRow, name: str) -> Gauge | None:
    found = row._mapping
    count = found[f"{name}_count"]
    return Gauge(count, found[f"{name}_total"], found[f"{name}_lowest"], found[f"{name}_highest"]) if count else None


class WorkSeries:
    """Windows of inference."""

    raw = inference_windows
    buckets = work_buckets
    names: tuple[str, ...] = ("model", "release")

    def of_point(self, row: AnyRow) -> Work:
        """Read a point as it came."""
        return self._of(row, row.p50_ms * row.requests, row.p95_ms)

    def of_bucket(self, row: AnyRow) -> Work:
        """Read a sum."""
        return self._of(row, row.p50_total, row.p95_highest)

    def _of(self, row: AnyRow, p50_total: float, p95_highest: float) -> Work:
        return Work(
            window_s=row.window_s,
            requests=row.requests,
            errors=row.errors,
            p50_total=p50_total,
            p95_highest=p95_highest,
            provider=row.provider,
            classes=COUNT_BY_NAME.validate_json(row.classes),
            latencies=sketch_of(row.latencies),
            confidences=sketch_of(row.confidences),
        )

    def columns(self, total: Work) -> Mapping[str, object]:
        """Write a sum; a sketch has at most `BINS` bins, and so a few kilobytes, however much it holds."""
        return {
            "window_s": total.window_s,
            "requests": total.requests,
            "errors": total.errors,
            "p50_total": total.p50_total,
            "p95_highest": total.p95_highest,
            "provider": total.provider,
            "classes": json.dumps(total.classes),
            "latencies": text_of(total.latencies),
            "confidences": text_of(total.confidences),
        }

    def joined(self, parts: Sequence[Work]) -> Work:
        """Sum up parts, the newest last."""
        return joined_work(parts)


HEALTH = HealthSeries()
WORK = WorkSeries()
