"""Asks TimescaleDB, where a database has it, to part the tables of telemetry that was summed up by time."""

from __future__ import annotations

from sqlalchemy import Connection, text

# Their key holds the time, as a hypertable's must; that of messages as they came does not, so that a repeat is seen whatever time it says.
TABLES: tuple[str, ...] = ()
CHUNK_US = 30 * 24 * 3600 * 1_000_000


def make_hypertables(connection: Connection) -> tuple[str, ...]:
    """Return the tables that are hypertables from now on; none without the extension."""
    if connection.dialect.name != "postgresql":
        return ()
    if connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")).first() is None:
        return ()
    options = "chunk_time_interval => :chunk, migrate_data => true, if_not_exists => true"
    for table in TABLES:
        connection.execute(text(f"SELECT create_hypertable(CAST(:name AS regclass), 'at', {options})"), {"name": table, "chunk": CHUNK_US})
    return TABLES
