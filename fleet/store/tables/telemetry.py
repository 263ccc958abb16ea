"""The tables of what devices say: the newest of each, series, sums and counts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from fleet.store.tables.columns import Stamp, Words, metadata

# The newest birth, reported and health of each device, as it was sent.
reports = Table(
    "reports",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("leaf", String(16), primary_key=True),
    Column("session", String(16), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("sent_at", Stamp, nullable=False),
    Column("received_at", Stamp, nullable=False),
    Column("body", Text, nullable=False),
    # Who follows the fleet reads what came since he last looked.
    Index("reports_by_arrival", "leaf", "received_at"),
)


def _series(name: str, *columns: Column[object]) -> Table:
    """Declare a time series: a message that arrives twice has the same key twice."""
    return Table(
        name,
        metadata,
        Column("device", String(64), primary_key=True),
        Column("session", String(16), primary_key=True),
        Column("sequence", BigInteger, primary_key=True),
        Column("at", Stamp, nullable=False),
        *columns,
        Index(f"{name}_by_device_and_time", "device", "at"),
        Index(f"{name}_by_time", "at"),
    )


health_points = _series(
    "health_points",
    Column("cpu_percent", Float, nullable=False),
    Column("memory_percent", Float, nullable=False),
    Column("disk_percent", Float, nullable=False),
    Column("temperature_c", Float),
)

inference_windows = _series(
    "inference_windows",
    Column("model", String(64), nullable=False),
    Column("release", Integer, nullable=False),
    Column("window_s", Float, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("p50_ms", Float, nullable=False),
    Column("p95_ms", Float, nullable=False),
    Column("classes", Text, nullable=False),
    Column("provider", Words, nullable=False),
    # Empty for windows from before it was kept.
    Column("manifest_sha256", String(64), nullable=False),
    # A `Sketch`, where the device sent one.
    Column("latencies", Text),
    Column("ordinal", BigInteger),
    Column("parts", BigInteger),
    # Of the winning classes' scores, likewise.
    Column("confidences", Text),
)

# What candidates in shadow did; it came with windows of the release that serves, and has their keys.
shadow_windows = _series(
    "shadow_windows",
    Column("model", String(64), nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
    Column("compared", BigInteger, nullable=False),
    Column("agreed", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("scored", BigInteger, nullable=False),
    Column("paused_s", Float, nullable=False),
    Column("shift", Float, nullable=False),
    Column("shift_squares", Float, nullable=False),
    Column("latencies", Text, nullable=False),
    Column("live_latencies", Text, nullable=False),
)

# The quantities of health that are summed up, and their columns in the points.
GAUGES = {"cpu": "cpu_percent", "memory": "memory_percent", "disk": "disk_percent", "temperature": "temperature_c"}


def _gauge(name: str) -> tuple[Column[object], ...]:
    kinds = {"count": BigInteger, "total": Float, "lowest": Float, "highest": Float}
    return tuple(Column(f"{name}_{part}", kind, nullable=part != "count") for part, kind in kinds.items())


# Points that grew old, summed up over `span_s` from `at` on.
health_buckets = Table(
    "health_buckets",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("span_s", Integer, primary_key=True),
    Column("at", Stamp, primary_key=True),
    *(column for name in GAUGES for column in _gauge(name)),
    Index("health_buckets_by_time", "span_s", "at"),
)

work_buckets = Table(
    "work_buckets",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("release", Integer, primary_key=True),
    Column("span_s", Integer, primary_key=True),
    Column("at", Stamp, primary_key=True),
    Column("window_s", Float, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("p50_total", Float, nullable=False),
    Column("p95_highest", Float, nullable=False),
    Column("provider", Words, nullable=False),
    Column("classes", Text, nullable=False),
    # Sketches of all the windows that sent them, merged; None where none did.
    Column("latencies", Text),
    Column("confidences", Text),
    Index("work_buckets_by_time", "span_s", "at"),
    Index("work_buckets_by_device_and_time", "device", "at"),
)

# At which number a worker's counter of restarts stood, and when it was seen there first and last; each session counts from 0.
restart_counts = Table(
    "restart_counts",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("session", String(16), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("restarts", BigInteger, primary_key=True),
    Column("first_at", Stamp, nullable=False),
    Column("last_at", Stamp, nullable=False),
    Index("restart_counts_by_time", "last_at"),
)

events = _series(
    "events",
    Column("kind", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("model", String(64)),
    Column("text", Words, nullable=False),
    Column("facts", Text, nullable=False),
)

# Which numbers of a session came: those of all messages under no model, those of windows under theirs.
tallies = Table(
    "tallies",
    metadata,
    Column("device", String(64), primary_key=True),
    Column("session", String(16), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("newest", BigInteger, nullable=False),
    # Ranges, such as `3,7-9`.
    Column("missing", Text, nullable=False),
    Column("forgotten", BigInteger, nullable=False),
    Column("merged", BigInteger, nullable=False),
    Column("heard_at", Stamp, nullable=False),
    Index("tallies_by_time", "heard_at"),
)

# The newest messages that made no sense, with their first bytes.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String(64), nullable=False),
    Column("leaf", String(16), nullable=False),
    Column("at", Stamp, nullable=False),
    Column("reason", Words, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Index("quarantine_by_device", "device", "id"),
)
