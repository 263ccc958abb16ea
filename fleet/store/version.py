"""Says of which shape a database is: one row holds the name of the last step that it was taken through."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

STEPS = Path(__file__).parent / "migrations" / "versions"
_TABLE = "alembic_version"


def is_newest(connection: Connection) -> bool:
    """Say whether a database has gone through every step there is; a new one has gone through none."""
    if not inspect(connection).has_table(_TABLE):
        return False
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars().all()  # noqa: S608 - a name of our own
    return found == [newest()]


def newest() -> str:
    """Return the name of the last step; each file is named by its step, and they count up."""
    return max(file.stem.partition("_")[0] for file in STEPS.glob("v*.py"))
