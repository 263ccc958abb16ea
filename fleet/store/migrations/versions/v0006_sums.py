"""Sums of telemetry over spans of time, which outlive the messages that they sum up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0006"
down_revision = "v0004"

GAUGES = ("cpu", "memory", "disk", "temperature")


def upgrade() -> None:
    """Create the tables, parted by time where TimescaleDB is."""
    op.create_table(
        "health_buckets",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("span_s", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(column for gauge in GAUGES for column in _gauge(gauge)),
        sa.PrimaryKeyConstraint("device", "span_s", "at"),
    )
    op.create_index("health_buckets_by_time", "health_buckets", ["span_s", "at"], unique=False)
    op.create_table(
        "work_buckets",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("span_s", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("window_s", sa.Float(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("p50_total", sa.Float(), nullable=False),
        sa.Column("p95_highest", sa.Float(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device", "model", "release", "span_s", "at"),
    )
    op.create_index("work_buckets_by_time", "work_buckets", ["span_s", "at"], unique=False)
    op.create_index("work_buckets_by_device_and_time", "work_buckets", ["device", "at"], unique=False)
    _part_by_time()


def _gauge(name: str) -> tuple[sa.Column[object], ...]:
    return (
        sa.Column(f"{name}_count", sa.BigInteger(), nullable=False),
        sa.Column(f"{name}_total", sa.Float(), nullable=True),
        sa.Column(f"{name}_lowest", sa.Float(), nullable=True),
        sa.Column(f"{name}_highest", sa.Float(), nullable=True),
    )


def _part_by_time() -> None:
    """Make hypertables of the tables whose key holds the time; that of messages does not, so that repeats are seen."""
    if op.get_bind().dialect.name != "postgresql":
        return
    has_timescale = op.get_bind().execute(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")).first()
    if has_timescale is None:
        return
    for table in ("health_buckets", "work_buckets"):
        # Of thirty days each, in the microseconds that the column counts.
        op.execute(f"SELECT create_hypertable('{table}', 'at', chunk_time_interval => {30 * 86400 * 1_000_000})")
