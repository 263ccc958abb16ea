"""Answers what charts show: points as they came for a short time, and sums for a long one, whichever form they lie in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Table, literal, select, tuple_

from fleet.core.pages import Key, Part, part_of
from fleet.core.summaries import Gauge, Work
from fleet.store.database import Database
from fleet.store.devices import row_of
from fleet.store.rows import COUNT_BY_NAME
from fleet.store.series import HEALTH, WORK, AnyRow, Series, Slot, Vitals, sums
from fleet.store.tables import Stamp, health_points, inference_windows
from fleet.store.times import micros, moment
from fleet.views.charts import Gauges, HealthPoint, InferencePoint

# Longer times than the first are shown in spans of the second: never more than a chart has room for.
SPANS = ((timedelta(days=32), timedelta(days=1)), (timedelta(days=3), timedelta(hours=1)), (timedelta(hours=6), timedelta(minutes=5)))

Sum = TypeVar("Sum")


class Charts:
    """The time series of one device; `now` gives aware UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        """Work on an open database."""
        self._database = database
        self._now = now

    def health(self, device: str, minutes: int, limit: int, last: Key | None = None) -> Part[HealthPoint]:
        """Return a device's health points, newest first; raise UnknownDeviceError."""
        since, span = self._now() - timedelta(minutes=minutes), _span_of(timedelta(minutes=minutes))
        with self._database.reading() as connection:
            row_of(connection, device)
            if span is None:
                return part_of(_newest(connection, health_points, device, since, limit, last), limit, _health_point, _row_key)
            found = _sums(connection, HEALTH, device, since, span)
        return part_of(_following(found, limit, last), limit, lambda one: _health_sum(*one, span), lambda one: _slot_key(one[0]))

    def inference(self, device: str, minutes: int, limit: int, last: Key | None = None) -> Part[InferencePoint]:
        """Return a device's windows, newest first; raise UnknownDeviceError."""
        since, span = self._now() - timedelta(minutes=minutes), _span_of(timedelta(minutes=minutes))
        with self._database.reading() as connection:
            row_of(connection, device)
            if span is None:
                return part_of(_newest(connection, inference_windows, device, since, limit, last), limit, _window, _row_key)
            found = _sums(connection, WORK, device, since, span)
        return part_of(_following(found, limit, last), limit, lambda one: _work_sum(*one, span), lambda one: _slot_key(one[0]))


def _span_of(length: timedelta) -> timedelta | None:
    return next((span for longer, span in SPANS if length > longer), None)


def _newest(connection: Connection, table: Table, device: str, since: datetime, limit: int, last: Key | None) -> Sequence[AnyRow]:
    """Return points, newest first, those after a key, and one more than were asked for."""
    key = (table.c.at, table.c.session, table.c.sequence)
    query = select(table).where(table.c.device == device, table.c.at > since).order_by(*(column.desc() for column in key))
    if last is not None:
        at, session, sequence = moment(int(last[0])), str(last[1]), int(last[2])
        query = query.where(table.c.at <= at, tuple_(*key) < tuple_(literal(at, Stamp), literal(session), literal(sequence)))
    return connection.execute(query.limit(limit + 1)).all()


def _row_key(row: AnyRow) -> Key:
    return micros(row.at), row.session, row.sequence


def _slot_key(slot: Slot) -> Key:
    """Return what tells a sum apart, in the shape of a point's key."""
    model, release = slot.of or ("", 0)
    return micros(slot.at), str(model), int(str(release))


def _following(found: dict[Slot, Sum], limit: int, last: Key | None) -> list[tuple[Slot, Sum]]:
    """Return sums, newest first, those after a key, and one more than were asked for."""
    newest_first = sorted(found.items(), key=lambda one: _slot_key(one[0]), reverse=True)
    return [one for one in newest_first if last is None or _slot_key(one[0]) < last][: limit + 1]


def _sums(connection: Connection, series: Series[Sum], device: str, since: datetime, span: timedelta) -> dict[Slot, Sum]:
    points, buckets = (
        connection.execute(select(table).where(table.c.device == device, table.c.at > since).order_by(table.c.at)).all()
        for table in (series.raw, series.buckets)
    )
    return sums(series, points, buckets, span)


def _health_point(row: AnyRow) -> HealthPoint:
    return HealthPoint(
        at=row.at,
        cpu_percent=row.cpu_percent,
        memory_percent=row.memory_percent,
        disk_percent=row.disk_percent,
        temperature_c=row.temperature_c,
    )


def _health_sum(slot: Slot, total: Vitals, span: timedelta) -> HealthPoint:
    cpu, memory, disk, temperature = (total.gauges[name] for name in ("cpu", "memory", "disk", "temperature"))
    # A health message always measures these.
    assert cpu is not None
    assert memory is not None
    assert disk is not None
    return HealthPoint(
        at=slot.at,
        cpu_percent=cpu.mean,
        memory_percent=memory.mean,
        disk_percent=disk.mean,
        temperature_c=temperature.mean if temperature else None,
        span_s=span.total_seconds(),
        lowest=_gauges(lambda gauge: gauge.lowest, cpu, memory, disk, temperature),
        highest=_gauges(lambda gauge: gauge.highest, cpu, memory, disk, temperature),
    )


def _gauges(pick: Callable[[Gauge], float], cpu: Gauge, memory: Gauge, disk: Gauge, temperature: Gauge | None) -> Gauges:
    return Gauges(
        cpu_percent=pick(cpu),
        memory_percent=pick(memory),
        disk_percent=pick(disk),
        temperature_c=pick(temperature) if temperature else None,
    )


def _window(row: AnyRow) -> InferencePoint:
    return InferencePoint(
        at=row.at,
        model=row.model,
        release=row.release,
        requests_per_s=row.requests / row.window_s if row.window_s else 0.0,
        errors=row.errors,
        p50_ms=row.p50_ms,
        p95_ms=row.p95_ms,
        classes=COUNT_BY_NAME.validate_json(row.classes),
        provider=row.provider,
    )


def _work_sum(slot: Slot, total: Work, span: timedelta) -> InferencePoint:
    model, release = slot.of
    return InferencePoint(
        at=slot.at,
        model=str(model),
        release=int(str(release)),
        requests_per_s=total.requests / total.window_s if total.window_s else 0.0,
        errors=total.errors,
        p50_ms=total.p50_ms,
        p95_ms=total.p95_ms,
        classes=dict(total.classes),
        provider=total.provider,
        span_s=span.total_seconds(),
    )
