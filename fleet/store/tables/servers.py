"""The tables of servers that share one database."""

from __future__ import annotations

from sqlalchemy import Column, Float, Table, Text

from fleet.store.tables.columns import metadata

replicas = Table(
    "replicas",
    metadata,
    Column("name", Text, primary_key=True),
    # When it last told that it hears: seconds since 1970 by the database's clock, because those of the servers may differ.
    Column("seen_s", Float, nullable=False),
)
