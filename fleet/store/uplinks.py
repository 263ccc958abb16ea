"""Writes what devices say: the newest of each kind, series whose repeats change nothing, and what never came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import cast

from sqlalchemy import Connection, Table, select

from contracts import codec
from contracts.messages import Birth, DeviceEvent, Health, Message
from fleet.core.freshness import Heard, Refused, Stamped, is_news, plausible_times
from fleet.store.bulk_rows import Row, bulk_rows
from fleet.store.database import Database
from fleet.store.forgetting import forget
from fleet.store.quarantine import add_refused
from fleet.store.restarts import note_restarts
from fleet.store.series_rows import event_row, health_row, shadow_row, window_row
from fleet.store.tables import devices, events, health_points, inference_windows, reports, restart_counts, shadow_windows, tallies
from fleet.store.tallies import HeardWindow, take_note
from fleet.store.times import micros, moment

LATEST = ("birth", "reported", "health")
SERIES = (health_points, inference_windows, events, shadow_windows)


class UplinkStore:
    """Where ingest leaves what it heard."""

    def __init__(self, database: Database, retention: timedelta) -> None:
        """Keep series for `retention`."""
        self._database = database
        self._retention = retention

    def save(self, batch: Sequence[Heard], refused: Sequence[Refused] = ()) -> tuple[str, ...]:
        """Keep a batch whole; return the senders that are no devices of this fleet."""
        with self._database.appending() as connection:
            senders = {heard.device for heard in batch} | {each.device for each in refused}
            # One replica at a time writes about a device.
            locked = select(devices.c.id).where(devices.c.id.in_(senders)).order_by(devices.c.id).with_for_update()
            known = set(connection.execute(locked).scalars())
            heard = batch if len(known) == len(senders) else [each for each in batch if each.device in known]
            said: defaultdict[str, list[Heard]] = defaultdict(list)
            for each in heard:
                said[each.leaf].append(each)
            self._append(connection, said)
            note_restarts(connection, said["health"], self._retention)
            latest = [each for leaf in LATEST for each in said[leaf]]
            spoke = _save_latest(connection, latest) | take_note(connection, heard, cast("list[HeardWindow]", said["inference"]))
            _mark_seen(connection, heard, spoke)
            add_refused(connection, [each for each in refused if each.device in known])
        return tuple(sorted(senders - known))

    def prune(self, now: datetime) -> int:
        """Delete what is older than the retention, a little at a time; return how many rows of series."""
        before = now - self._retention
        for at in (tallies.c.heard_at, restart_counts.c.last_at):
            forget(self._database, at, before)
        return sum(forget(self._database, table.c.at, before) for table in SERIES)

    def _append(self, connection: Connection, said: Mapping[str, list[Heard]]) -> None:
        rows: dict[Table, list[Row]] = {table: [] for table in SERIES}
        healths, windows, happened, shadows = (rows[table] for table in SERIES)
        # A batch has one time of arrival, or few.
        when = lru_cache(1)(partial(plausible_times, max_age=self._retention))
        for device, _, window, received_at in cast("list[HeardWindow]", said["inference"]):
            at = micros(when(received_at)(window.sent_at))
            windows.append(window_row(device, window, at))
            if window.shadow is not None:
                shadows.append(shadow_row(device, window, window.shadow, at))
        for device, _, message, received_at in said["health"]:
            healths.append(health_row(device, cast("Health", message), micros(when(received_at)(message.sent_at))))
        for device, _, message, received_at in said["event"]:
            happened.append(event_row(device, cast("DeviceEvent", message), micros(when(received_at)(message.sent_at))))
        for table, found in rows.items():
            bulk_rows(connection).insert_new(connection, table, found)


def _save_latest(connection: Connection, batch: Sequence[Heard]) -> set[str]:
    """Replace reports by newer ones, of those kinds of which the latest counts; return whose."""
    speaking = list(dict.fromkeys((heard.device, heard.leaf) for heard in batch))
    if not speaking:
        return set()
    stored = _stored(connection, speaking)
    newest: dict[tuple[str, str], Heard] = {}
    for heard in batch:
        key = (heard.device, heard.leaf)
        if is_news(heard.message, stored.get(key)):
            newest[key] = heard
            stored[key] = _stamped(heard.message)
    bulk_rows(connection).put(connection, reports, [_report_row(heard) for heard in newest.values()])
    return {device for device, _ in newest}


def _stored(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Stamped]:
    """Return what is kept of those kinds of those devices."""
    rows, told = bulk_rows(connection), reports.c
    columns = (told.device, told.leaf, told.session, told.sequence, told.sent_at)
    births = [key for key in keys if key[1] == "birth"]
    bodies = rows.pick(connection, (told.device, told.body), (told.device, told.leaf), births)
    online = {device for device, body in bodies if Birth.model_validate_json(body).online}
    found = rows.pick(connection, columns, (told.device, told.leaf), keys)
    return {
        (device, leaf): Stamped(session, sequence, moment(sent_at), leaf == "birth" and device in online)
        for device, leaf, session, sequence, sent_at in found
    }


def _stamped(message: Message) -> Stamped:
    return Stamped(message.session, message.sequence, message.sent_at, isinstance(message, Birth) and message.online)


def _report_row(heard: Heard) -> Row:
    device, leaf, message, received_at = heard
    body = codec.encode(message).decode()
    return (device, leaf, message.session, message.sequence, micros(message.sent_at), micros(received_at), body)


def _mark_seen(connection: Connection, batch: Iterable[Heard], spoke: set[str]) -> None:
    last = {heard.device: heard.received_at for heard in batch if heard.device in spoke}
    bulk_rows(connection).change(connection, devices.c.last_seen, [(micros(at), device) for device, at in last.items()])
