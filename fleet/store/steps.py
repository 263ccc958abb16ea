"""Brings a database from one shape to a later one, step by step; only one that is not of the newest shape needs what lies here."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from fleet.errors.store import NewerDatabaseError, OlderDatabaseError


def migrate(connection: Connection, shown: str, revision: str = "head") -> None:
    """Bring a database to a version; raise NewerDatabaseError for one that this code does not know."""
    config = _config()
    config.attributes["connection"] = connection
    _versions(connection, shown)
    if connection.dialect.name == "postgresql":
        # A step may take long on a large table.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    command.upgrade(config, revision)


def refuse_other(connection: Connection, shown: str) -> None:
    """Raise OlderDatabaseError or NewerDatabaseError for a database that is not of the newest shape."""
    found, newest = _versions(connection, shown)
    if found != newest:
        raise OlderDatabaseError(shown, newest, found)


def _versions(connection: Connection, shown: str) -> tuple[str, str]:
    """Return a database's version and the newest; raise NewerDatabaseError for one that this code does not know."""
    scripts = ScriptDirectory.from_config(_config())
    newest = str(scripts.get_current_head())
    found = MigrationContext.configure(connection).get_current_revision() or "base"
    try:
        scripts.get_revisions(found)
    except CommandError as error:
        raise NewerDatabaseError(shown, newest, found) from error
    return found, newest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
