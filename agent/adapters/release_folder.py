"""Touches one unpacked release: a folder named by its manifest's digest, put together whole, read byte for byte, mended file by file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from agent.adapters import disk
from agent.core.admission import Fit
from agent.core.pieces import WantedFile
from agent.errors import StateError
from contracts import codec
from contracts.bundle import MANIFEST, check_files
from contracts.chunks import chunk_count
from contracts.errors import ContractError, MissingFileError, TamperedError
from contracts.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest, decode_manifest
from contracts.small_files import read_bounded

PIECE_BYTES = 1 << 20
# An inspection beside a serving model rests three times as long as it works.
REST_SHARE = 3.0
# Waits for some seconds; true when there is no time to go on.
Rest: TypeAlias = Callable[[float], bool | None]


def read_manifest(folder: Path) -> Manifest:
    """Return a release's manifest, which must be the one that the folder is named by; raise a ContractError or StateError."""
    place = folder / MANIFEST
    with _reading(place, folder.name):
        raw = read_bounded(place, MAX_MANIFEST_BYTES)
    if codec.sha256_of(raw) != folder.name:
        raise TamperedError(str(place), folder.name, codec.sha256_of(raw))
    return decode_manifest(raw, str(place))


def check(folder: Path, fit: Fit) -> Manifest:
    """Read every byte that this device needs; raise a ContractError naming the file that is wrong or missing, or StateError."""
    manifest = read_manifest(folder)
    for path, entry in needed_files(manifest, fit).items():
        with _reading(folder / path, entry.sha256):
            check_files(folder, manifest, (path,))
    return manifest


def glance(folder: Path, fit: Fit) -> Manifest:
    """Read the manifest, and see that every file is there in its size; raise as `check`."""
    manifest = read_manifest(folder)
    for path, entry in needed_files(manifest, fit).items():
        place = folder / path
        with _reading(place, entry.sha256):
            if not place.is_file():
                raise MissingFileError(str(place))
            if place.stat().st_size != entry.bytes:
                raise TamperedError(str(place), entry.sha256, f"{place.stat().st_size} bytes where {entry.bytes} belong")
    return manifest


def damaged(folder: Path, fit: Fit, rest: Rest) -> dict[str, WantedFile]:
    """Return what has to be fetched again, by path, reading at a quarter of the speed; a damaged manifest hides what else is."""
    try:
        manifest = read_manifest(folder)
    except ContractError as error:
        if not (folder / MANIFEST).is_file():
            raise  # only who wished for the release knows how large its manifest was
        size = (folder / MANIFEST).stat().st_size
        if size > MAX_MANIFEST_BYTES:
            raise MissingFileError(str(folder / MANIFEST)) from error
        return {MANIFEST: WantedFile(folder.name, size, (folder.name,) if chunk_count(size) == 1 else None)}
    files = needed_files(manifest, fit)
    return {
        path: WantedFile(entry.sha256, entry.bytes, entry.chunks)
        for path, entry in files.items()
        if not _is_right(folder / path, entry, rest)
    }


def needed_files(manifest: Manifest, fit: Fit) -> dict[str, FileEntry]:
    """Return what this device needs of a release, by path; nothing where it is for other devices."""
    target = fit.target_of(manifest)
    return {} if target is None else {path: manifest.files[path] for path in manifest.paths_for(target)}


def build(folder: Path, manifest: bytes, files: Mapping[str, Path]) -> None:
    """Put a release together from fetched files, whole or not at all, in place of a damaged one; raise OSError.

    The files are linked in. Nobody knows whether another process wrote them and was killed before it synced: here they are.
    """
    building = _aside(folder, "building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o750)
    for path, source in files.items():
        place = building / path
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, place)
    (building / MANIFEST).write_bytes(manifest)
    disk.sync_tree(building)
    if folder.exists():
        remove(folder)
    building.rename(folder)
    disk.sync_folder(folder.parent)


def remove(folder: Path) -> None:
    """Remove a release so that no crash leaves a part of it under its name; raise OSError."""
    gone = _aside(folder, "gone")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone)


def sweep(releases: Path) -> None:
    """Remove what a process that died was putting together or removing; raise OSError."""
    for leftover in releases.glob(".*"):
        shutil.rmtree(leftover)
    for leftover in releases.rglob(".*.new"):
        leftover.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Return the bytes of all files of a release; raise OSError."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_right(place: Path, entry: FileEntry, rest: Rest) -> bool:
    try:
        with _reading(place, entry.sha256):
            return place.is_file() and place.stat().st_size == entry.bytes and _digest_unhurried(place, rest) == entry.sha256
    except TamperedError:
        return False


def _digest_unhurried(place: Path, rest: Rest) -> str:
    digest = sha256()
    with place.open("rb", buffering=0) as stream:
        began_s = time.monotonic()
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
            if rest(min(1.0, REST_SHARE * (time.monotonic() - began_s))):
                raise StateError(str(place), "no time to read all of it, for the agent is leaving")
            began_s = time.monotonic()
        # What is read only to be checked must not push out of memory what serves.
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()


def _aside(folder: Path, why: str) -> Path:
    return folder.with_name(f".{folder.name}.{why}")


@contextmanager
def _reading(place: Path, digest: str) -> Iterator[None]:
    """Tell bytes that are gone for good from a system that cannot read them just now."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or repr(error)
        if error.errno in disk.DAMAGE:
            raise TamperedError(str(place), digest, reason) from error
        raise StateError(str(place), reason) from error
