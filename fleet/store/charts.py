"""Answers what charts show: points as they came for a short time, and sums for a long one, whichever form they lie in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Table, select

from fleet.core.summaries import Gauge, Work
from fleet.store.database import Database
from fleet.store.devices import row_of
from fleet.store.rows import COUNT_BY_NAME
from fleet.store.series import HEALTH, WORK, AnyRow, Series, Slot, Vitals, sums
from fleet.store.tables import health_points, inference_windows
from fleet.views import Gauges, HealthPoint, InferencePoint

# Longer times than the first are shown in spans of the second: never more than a chart has room for.
SPANS = ((timedelta(days=32), timedelta(days=1)), (timedelta(days=3), timedelta(hours=1)), (timedelta(hours=6), timedelta(minutes=5)))

Sum = TypeVar("Sum")


class Charts:
    """The time series of one device; `now` gives aware UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        """Work on an open database."""
        self._database = database
        self._now = now

    def health(self, device: str, minutes: int, limit: int) -> tuple[HealthPoint, ...]:
        """Return a device's newest health points, oldest first; raise UnknownDeviceError."""
        length = timedelta(minutes=minutes)
        span = _span_of(length)
        with self._database.reading() as connection:
            row_of(connection, device)
            if span is None:
                return tuple(map(_health_point, _newest(connection, health_points, device, self._now() - length, limit)))
            found = _sums(connection, HEALTH, device, self._now() - length, span)
        return tuple(_health_sum(slot, total, span) for slot, total in list(found.items())[-limit:])

    def inference(self, device: str, minutes: int, limit: int) -> tuple[InferencePoint, ...]:
        """Return a device's newest windows, oldest first; raise UnknownDeviceError."""
        length = timedelta(minutes=minutes)
        span = _span_of(length)
        with self._database.reading() as connection:
            row_of(connection, device)
            if span is None:
                return tuple(map(_window, _newest(connection, inference_windows, device, self._now() - length, limit)))
            found = _sums(connection, WORK, device, self._now() - length, span)
        return tuple(_work_sum(slot, total, span) for slot, total in list(found.items())[-limit:])


def _span_of(length: timedelta) -> timedelta | None:
    return next((span for longer, span in SPANS if length > longer), None)


def _newest(connection: Connection, table: Table, device: str, since: datetime, limit: int) -> list[AnyRow]:
    query = select(table).where(table.c.device == device, table.c.at > since).order_by(table.c.at.desc(), table.c.sequence.desc())
    return list(reversed(connection.execute(query.limit(limit)).all()))


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
