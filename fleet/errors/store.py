"""Why the database, or a backup of it, cannot be used."""

from __future__ import annotations

from fleet.errors import FleetError


class StoreError(FleetError):
    """The database did not do what it was asked."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: expected a working database, found: {reason}")


class DatabaseAwayError(StoreError):
    """The database cannot be reached, or is too busy, for now."""

    exit_status = 3


class NewerDatabaseError(FleetError):
    """A later fieldfare changed the database's shape."""

    def __init__(self, shown: str, newest: str, found: str) -> None:
        super().__init__(f"{shown}: expected a database of version {newest} or older, found {found[:40]}; run the fieldfare that made it")


class OlderDatabaseError(FleetError):
    """An earlier fieldfare made the database, and nobody is to change it now."""

    def __init__(self, shown: str, newest: str, found: str) -> None:
        super().__init__(f"{shown}: expected a database of version {newest}, found {found}; start this fieldfare's server once")


class DatabaseNotEmptyError(FleetError):
    """A backup would be mixed with what a database holds."""

    def __init__(self, shown: str, table: str) -> None:
        super().__init__(f"{shown}: expected an empty database, found rows in {table}; choose another with --database")


class NoFleetError(FleetError):
    """There is nothing to back up."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder}: expected the folder of a fleet server, found none; name it with --dir")


class BackupExistsError(FleetError):
    """A backup would be written over a file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: expected no file, found one; a backup is never written over, choose another name")


class NoBackupError(FleetError):
    """A file is no backup."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path}: expected a file that `fieldfare fleet backup` wrote, found: {found}"[:500])


class DatabasePlaceError(FleetError):
    """The database is not named in a way that can be used; the name is not repeated, for it may hold a password."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(
            f"{source}: expected postgresql://user@host/name (with its password in FIELDFARE_DATABASE_URL or in a file "
            f"that --database names, of mode 0600), found {found}"
        )


class UnsealableError(FleetError):
    """What was kept sealed does not open."""

    def __init__(self, about: str) -> None:
        super().__init__(f"{about}: expected what was sealed with this token, found something else; somebody changed the database")
