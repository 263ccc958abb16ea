"""Reads where the database lies: a URL of a PostgreSQL server, whose password is never shown, or the file of the server's folder."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from contracts.small_files import read_bounded
from fleet.errors.store import DatabasePlaceError

SCHEMES = ("postgresql", "postgres")
DRIVER = "postgresql+psycopg"
VARIABLE = "FIELDFARE_DATABASE_URL"
MAX_FILE_BYTES = 4096


@dataclass(frozen=True)
class PostgresUrl:
    """A database on a server; `shown` is what people and logs may read of it."""

    url: str = field(repr=False)
    shown: str

    @classmethod
    def parse(cls, text: str, source: str) -> PostgresUrl:
        """Read `postgresql://user:password@host:port/name?...`; raise DatabasePlaceError, which does not repeat it."""
        try:
            url = make_url(text.strip())
        except ArgumentError as error:
            raise DatabasePlaceError(source, "no URL") from error
        if url.drivername not in SCHEMES:
            raise DatabasePlaceError(source, f"a URL that begins with {url.drivername}://")
        if not url.database:
            raise DatabasePlaceError(source, "a URL without a database's name")
        shown = URL.create("postgresql", username=url.username, host=url.host, port=url.port, database=url.database)
        return cls(url.set(drivername=DRIVER).render_as_string(hide_password=False), shown.render_as_string())


def find_place(option: str | None, variable: str | None) -> PostgresUrl | None:
    """Return what `--database`, or else FIELDFARE_DATABASE_URL, names; None for the file of the server's folder.

    The option is a URL without a password, or a file that holds one with: every user of the machine reads the options of every process.
    """
    if option is None:
        return PostgresUrl.parse(variable, VARIABLE) if variable else None
    if "://" not in option:
        return PostgresUrl.parse(_secret(Path(option)), option)
    place = PostgresUrl.parse(option, "--database")
    if make_url(place.url).password is not None or "password" in make_url(place.url).query:
        raise DatabasePlaceError("--database", "one that shows its password to everybody who lists processes")
    return place


def _secret(file: Path) -> str:
    raw = read_bounded(file, MAX_FILE_BYTES)
    if file.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise DatabasePlaceError(str(file), "a file that others may read or write; run: chmod 600")
    return raw.decode(errors="replace")
