"""Keeps telemetry as long as it is worth its room: as it came, then its sums over five minutes, then over hours, then no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select, true

from fleet.store.database import Database
from fleet.store.forgetting import breathe
from fleet.store.series import HEALTH, WORK, AnyRow, Series, Slot, start_of, sums
from fleet.store.upsert import put_all

FINE = timedelta(minutes=5)
COARSE = timedelta(hours=1)
# A change of so many rows takes milliseconds: whoever writes in between hardly waits.
BATCH_ROWS = 120
# In one turn; what is left has time until the next.
BATCHES = 500

Sum = TypeVar("Sum")


@dataclass(frozen=True)
class Lives:
    """How long each form is kept."""

    health: timedelta = timedelta(days=7)
    # Gates judge a release by its windows, for as long as a rollout may take.
    windows: timedelta = timedelta(days=30)
    fine: timedelta = timedelta(days=90)
    coarse: timedelta = timedelta(days=730)


@dataclass(frozen=True)
class Source:
    """Rows of a table that are to be summed up over `span`, one device and one `stretch` of time after the other."""

    table: Table
    which: ColumnElement[bool]
    before: datetime
    span: timedelta
    stretch: timedelta


class Retention:
    """For one server at a time: what is summed up is gone from where it was, in one change."""

    def __init__(self, database: Database, lives: Lives | None = None) -> None:
        """Nothing happens before `turn`."""
        self._database = database
        self._lives = lives or Lives()

    def turn(self, now: datetime) -> int:
        """Sum up and delete what is due, up to a bound; return how many changes it took."""
        done = self._series(HEALTH, now - self._lives.health, now, BATCHES)
        return done + self._series(WORK, now - self._lives.windows, now, BATCHES - done)

    def _series(self, series: Series[Sum], raw_before: datetime, now: datetime, left: int) -> int:
        fine, coarse = start_of(now - self._lives.fine, COARSE), now - self._lives.coarse
        span = series.buckets.c.span_s
        sources = (
            Source(series.raw, true(), start_of(raw_before, COARSE), FINE, COARSE),
            Source(series.buckets, span == FINE.total_seconds(), fine, COARSE, timedelta(days=1)),
        )
        done = 0
        for source in sources:
            while done < left and self._sum_up(series, source):
                done += 1
                breathe()
        while done < left and self._drop(series.buckets, and_(span == COARSE.total_seconds(), series.buckets.c.at < coarse)):
            done += 1
            breathe()
        return done

    def _sum_up(self, series: Series[Sum], source: Source) -> bool:
        with self._database.appending() as connection:
            rows = _taken(connection, source)
            if not rows:
                return False
            points, buckets = (rows, []) if source.table is series.raw else ([], rows)
            _add(connection, series, rows[0].device, sums(series, points, buckets, source.span), source.span)
            return True

    def _drop(self, table: Table, which: ColumnElement[bool]) -> bool:
        key = list(table.primary_key)
        with self._database.appending() as connection:
            oldest = connection.execute(select(*key).where(which).order_by(table.c.at).limit(BATCH_ROWS)).all()
            for row in oldest:
                connection.execute(delete(table).where(*(column == value for column, value in zip(key, row, strict=True))))
        return bool(oldest)


def _taken(connection: Connection, source: Source) -> list[AnyRow]:
    """Delete the oldest rows of one device, and return just those, the oldest first; a row that arrives meanwhile stays."""
    columns = source.table.c
    due = and_(source.which, columns.at < source.before)
    oldest = connection.execute(select(columns.device, columns.at).where(due).order_by(columns.at).limit(1)).first()
    if oldest is None:
        return []
    end = start_of(oldest.at, source.stretch) + source.stretch
    mine = and_(due, columns.device == oldest.device, columns.at < end)
    last = connection.execute(select(columns.at).where(mine).order_by(columns.at).offset(BATCH_ROWS - 1).limit(1)).scalar()
    taken = connection.execute(delete(source.table).where(mine, true() if last is None else columns.at <= last).returning(*columns))
    return sorted(taken, key=lambda row: row.at)


def _add(connection: Connection, series: Series[Sum], device: str, totals: Mapping[Slot, Sum], span: timedelta) -> None:
    """Keep sums, together with those that are there: what arrives late counts too."""
    table, span_s = series.buckets, int(span.total_seconds())
    times = [slot.at for slot in totals]
    mine = and_(table.c.device == device, table.c.span_s == span_s, table.c.at.between(min(times), max(times)))
    there = sums(series, [], connection.execute(select(table).where(mine)).all(), span)
    rows = []
    for slot, total in totals.items():
        whole = series.joined([there[slot], total]) if slot in there else total
        names = dict(zip(series.names, slot.of, strict=True))
        rows.append({"device": device, **names, "span_s": span_s, "at": slot.at, **series.columns(whole)})
    put_all(connection, table, rows)
