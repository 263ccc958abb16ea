"""Writes what devices say: the newest of each kind, and series whose repeats change nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, delete, select, update

from contracts import codec
from contracts.messages import Birth, DeviceEvent, Health, InferenceWindow
from fleet.core.freshness import Heard, Stamped, is_news, plausible_time
from fleet.store.database import Database
from fleet.store.tables import devices, events, health_points, inference_windows, reports
from fleet.store.upsert import add_new, put

LATEST = ("birth", "reported", "health")
SERIES = (health_points, inference_windows, events)


class UplinkStore:
    """Where ingest leaves what it heard."""

    def __init__(self, database: Database, retention: timedelta) -> None:
        """Keep series for `retention`."""
        self._database = database
        self._retention = retention

    def save(self, batch: Sequence[Heard]) -> tuple[str, ...]:
        """Keep a batch whole; return the senders that are no devices of this fleet."""
        unknown: set[str] = set()
        with self._database.writing() as connection:
            senders = {heard.device for heard in batch}
            known = set(connection.execute(select(devices.c.id).where(devices.c.id.in_(senders))).scalars())
            unknown = senders - known
            for heard in batch:
                if heard.device in known and self._save_one(connection, heard):
                    connection.execute(update(devices).where(devices.c.id == heard.device).values(last_seen=heard.received_at))
        return tuple(sorted(unknown))

    def prune(self, now: datetime) -> int:
        """Delete what is older than the retention; return how many rows."""
        with self._database.writing() as connection:
            return sum(connection.execute(delete(table).where(table.c.at < now - self._retention)).rowcount for table in SERIES)

    def _save_one(self, connection: Connection, heard: Heard) -> bool:
        if heard.leaf in LATEST and not _save_latest(connection, heard):
            return False
        at = plausible_time(heard.message.sent_at, heard.received_at, self._retention)
        match heard.message:
            case Health():
                return _append(connection, health_points, heard, at, _health_columns(heard.message))
            case InferenceWindow():
                return _append(connection, inference_windows, heard, at, _window_columns(heard.message))
            case DeviceEvent():
                return _append(connection, events, heard, at, _event_columns(heard.message))
        return True


def _save_latest(connection: Connection, heard: Heard) -> bool:
    message = heard.message
    row = connection.execute(select(reports).where(reports.c.device == heard.device, reports.c.leaf == heard.leaf)).first()
    online = isinstance(message, Birth) and row is not None and Birth.model_validate_json(row.body).online
    stored = None if row is None else Stamped(row.session, row.sequence, row.sent_at, online)
    if not is_news(message, stored):
        return False
    values = {
        "device": heard.device,
        "leaf": heard.leaf,
        "session": message.session,
        "sequence": message.sequence,
        "sent_at": message.sent_at,
        "received_at": heard.received_at,
        "body": codec.encode(message).decode(),
    }
    put(connection, reports, values)
    return True


def _append(connection: Connection, table: Table, heard: Heard, at: datetime, columns: dict[str, object]) -> bool:
    key = {"device": heard.device, "session": heard.message.session, "sequence": heard.message.sequence}
    return add_new(connection, table, [{**key, "at": at, **columns}]) == 1


def _health_columns(health: Health) -> dict[str, object]:
    disk_used = health.disk_total_bytes - health.disk_free_bytes
    return {
        "cpu_percent": health.cpu_percent,
        "memory_percent": 100 * health.memory_used_bytes / max(health.memory_total_bytes, 1),
        "disk_percent": 100 * disk_used / max(health.disk_total_bytes, 1),
        "temperature_c": health.temperature_c,
    }


def _window_columns(window: InferenceWindow) -> dict[str, object]:
    return {
        "model": window.release.model,
        "release": window.release.release,
        "window_s": window.window_s,
        "requests": window.requests,
        "errors": window.errors,
        "p50_ms": window.latency_ms.p50,
        "p95_ms": window.latency_ms.p95,
        "classes": json.dumps(window.classes),
        "provider": window.provider,
        "manifest_sha256": window.release.manifest_sha256,
        "latencies": None if window.latencies is None else window.latencies.model_dump_json(),
        "ordinal": window.ordinal,
        "parts": window.parts,
    }


def _event_columns(event: DeviceEvent) -> dict[str, object]:
    return {
        "kind": event.kind,
        "severity": event.severity,
        "model": event.model,
        "text": event.text,
        "facts": json.dumps(event.facts),
    }
