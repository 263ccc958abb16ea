"""The tables of releases, and how they reach devices."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text

from fleet.store.tables.columns import Stamp, Words, metadata

releases = Table(
    "releases",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("release", Integer, primary_key=True),
    Column("manifest_sha256", String(64), nullable=False),
    Column("targets", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("drops", Text, nullable=False),
    Column("added_at", Stamp, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("release", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("origin", Integer),
    Column("state", String(16), nullable=False),
    Column("state_reason", Words, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("proven", Integer, nullable=False),
    Column("settled_at", Stamp),
    Column("verdict", Text),
    Column("started_by", String(64), nullable=False),
    Column("started_at", Stamp, nullable=False),
    # None while it is followed.
    Column("ended_at", Stamp, index=True),
    Column("revision", Integer, nullable=False),
)

rollout_devices = Table(
    "rollout_devices",
    metadata,
    Column("rollout", Integer, primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("reason", Words, nullable=False),
    Column("progress", Float, nullable=False),
    Column("baseline", Text),
    Column("target", Text),
    Column("errand", String(8), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("offered_at", Stamp),
    Column("met_at", Stamp),
    Column("outcome_at", Stamp),
    Column("is_missing", Boolean, nullable=False),
    Column("is_shadow", Boolean, nullable=False),
    Column("earlier_outcome_at", Stamp),
    Index("rollout_devices_by_position", "rollout", "position"),
)

# Who did what to a rollout, and what the fleet did by itself.
rollout_history = Table(
    "rollout_history",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rollout", Integer, nullable=False, index=True),
    Column("at", Stamp, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("act", String(16), nullable=False),
    Column("text", Words, nullable=False),
)
