"""Puts a fleet's memory into one file, while its server runs, and makes a server's folder and database of it again."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field

from contracts import codec
from contracts.errors import TamperedError
from contracts.grown import Grown
from contracts.names import Sha256
from fleet.errors.store import BackupExistsError, NoBackupError, NoFleetError
from fleet.files import check_empty, write_secret
from fleet.folder_lock import FolderLock
from fleet.home import Home
from fleet.store.backup import dump, load
from fleet.store.database import Database
from fleet.store.place import PostgresUrl

INDEX = "backup.json"
DATABASE = "fleet.db"
# Without secrets a server can be brought back only by those who kept its keys elsewhere.
OPEN_PARTS = ("trust", "authority/ca.pem")
SECRET_PARTS = ("keys", "authority", "session.secret", "trust-change.json")
MAX_INDEX_BYTES = 64 << 20
BLOCK_BYTES = 1 << 20
# Fast: telemetry shrinks tenfold even so.
COMPRESSION = 1

# What `Home` has in its folder, and nothing that leads out of it.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}$", max_length=300)]


class Part(Grown):
    """One file of a backup."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class Index(Grown):
    """What a backup holds; `artifacts` are the files of releases that it relies on, which lie where they lie."""

    made_at: AwareDatetime
    with_keys: bool
    rows: dict[str, int]
    parts: dict[Name, Part]
    artifacts: dict[Sha256, int]


@dataclass(frozen=True)
class Restored:
    """What came back."""

    index: Index
    # Files of releases that are not where the new server looks for them.
    missing: tuple[str, ...]


def back_up(home: Home, place: PostgresUrl | None, file: Path, now: datetime, *, with_keys: bool) -> Index:
    """Write a backup that only its owner may read; raise NoFleetError, BackupExistsError or StoreError."""
    if not (home.trust / "timestamp.json").is_file():
        raise NoFleetError(str(home.folder))
    if file.exists():
        raise BackupExistsError(str(file))
    with _folder_beside(file) as draft:
        database = Database(place or home.database, is_as_found=True)
        try:
            with database.reading() as connection:
                with FolderLock(home.trust):  # releases are rows and signed lists: none comes in between
                    connection.exec_driver_sql("SELECT count(*) FROM releases")  # what is read first decides which state all is of
                    _copy_parts(home.folder, draft, with_keys=with_keys)
                copied = dump(connection, draft / DATABASE)
        finally:
            database.close()
        parts = {str(path.relative_to(draft)): _part(path) for path in sorted(draft.rglob("*")) if path.is_file()}
        index = Index(made_at=now, with_keys=with_keys, rows=copied, parts=parts, artifacts=_artifacts(home.artifacts))
        write_secret(draft / INDEX, codec.encode(index))
        _pack(draft, (INDEX, *parts), file)
    return index


def restore(file: Path, home: Home, place: PostgresUrl | None) -> Restored:
    """Make a server's folder, and database, of a backup: whole or not at all.

    Raises NoBackupError, TamperedError, FolderNotEmptyError, DatabaseNotEmptyError, NewerDatabaseError or StoreError.
    """
    check_empty(home.folder)
    with _folder_beside(home.folder) as draft:
        index = _unpack(file, draft)
        source = draft / DATABASE
        if place is None:
            # Brought to the newest version where it lies.
            Database(source).close()
        else:
            database = Database(place)
            try:
                load(source, database)
            finally:
                database.close()
            source.unlink()
        (draft / INDEX).unlink()
        draft.replace(home.folder)
    home.folder.chmod(0o700)
    return Restored(index, tuple(sorted(index.artifacts.keys() - _artifacts(home.artifacts).keys())))


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder on the same file system, which is gone afterwards unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_parts(folder: Path, draft: Path, *, with_keys: bool) -> None:
    for part in (*OPEN_PARTS, *(SECRET_PARTS if with_keys else ())):
        source = folder / part
        paths = [source] if source.is_file() else source.rglob("*")
        for path in paths:
            if path.is_file() and not path.name.startswith("."):
                target = draft / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copy(path, target)


def _part(path: Path) -> Part:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return Part(sha256=digest.hexdigest(), bytes=path.stat().st_size)


def _artifacts(folder: Path) -> dict[str, int]:
    """Return the files by digest in the server's folder; those in an object store are that store's to keep."""
    return {path.name: path.stat().st_size for path in folder.glob("[0-9a-f][0-9a-f]/*") if len(path.name) == 64}


def _pack(draft: Path, names: tuple[str, ...], file: Path) -> None:
    beside = draft / ".tar"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=COMPRESSION) as archive:
            for name in names:
                archive.add(draft / name, name, recursive=False)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def _unpack(file: Path, draft: Path) -> Index:
    """Write what the index lists, and nothing else, into a folder, and check it."""
    try:
        with tarfile.open(file, mode="r:gz") as archive:
            _extract(archive, INDEX, draft, MAX_INDEX_BYTES)
            index = codec.decode(Index, (draft / INDEX).read_bytes(), name=f"{file}: {INDEX}", max_bytes=MAX_INDEX_BYTES)
            for name, part in index.parts.items():
                _extract(archive, name, draft, part.bytes)
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise NoBackupError(str(file), str(error)) from error
    for name, part in index.parts.items():
        found = _part(draft / name)
        if found != part:
            raise TamperedError(f"{file}: {name}", part.sha256, found.sha256)
    return index


def _extract(archive: tarfile.TarFile, name: str, draft: Path, max_bytes: int) -> None:
    member = archive.getmember(name)
    stream = archive.extractfile(member) if member.isfile() else None
    if stream is None or member.size > max_bytes:
        raise tarfile.ReadError(f"{name} is no file of at most {max_bytes} bytes")
    target = draft / name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = 0o700 if member.mode & 0o100 else 0o600
    with stream, os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as output:
        shutil.copyfileobj(stream, output, BLOCK_BYTES)
