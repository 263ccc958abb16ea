"""Touches bundles on this device or on a stick: each a folder or a .tar, its files found by their digests."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anyio

from agent.core.basket import Basket
from agent.core.pieces import Piece, WantedFile
from agent.core.runs import first_run
from agent.errors import SourceAwayError, SourceFailedError
from contracts import codec
from contracts.bundle import MANIFEST
from contracts.chunks import CHUNK_BYTES, chunk_length
from contracts.errors import ContractError
from contracts.manifest import MAX_MANIFEST_BYTES, Manifest, decode_manifest
from contracts.small_files import read_bounded

MAX_BUNDLES = 64
MAX_TAR_MEMBERS = 10_000


class Place(NamedTuple):
    """Where a file's bytes begin."""

    path: Path
    offset: int


class FolderSource:
    """A folder that holds bundles, or is one; it may come and go."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        """Look in `folder` each time a file is wanted."""
        self._folder = folder

    async def fill(self, basket: Basket, _bases: tuple[str, ...]) -> None:
        """Bring what is missing; raise SourceAwayError or SourceFailedError."""
        place = await anyio.to_thread.run_sync(self._find, basket.wanted)
        while run := first_run(basket.missing):
            pieces = await anyio.to_thread.run_sync(_read, place, basket.wanted, run)
            if await basket.put(pieces, is_local=True):
                raise SourceFailedError(f"{place.path}: expected chunks as their digests say, found others")

    async def rest(self) -> None:
        """Hold nothing."""

    def _find(self, wanted: WantedFile) -> Place:
        if not self._folder.is_dir():
            raise SourceAwayError(f"{self._folder}: expected a folder, found none")
        try:
            for place in self._places(wanted):
                return place
        except (OSError, tarfile.TarError) as error:
            raise SourceFailedError(f"{self._folder}: {error}") from error
        raise SourceFailedError(f"{self._folder}: expected a bundle with file {wanted.digest}, found none")

    def _places(self, wanted: WantedFile) -> Iterator[Place]:
        for bundle in [self._folder, *sorted(self._folder.iterdir())[:MAX_BUNDLES]]:
            if bundle.suffix == ".tar" and bundle.is_file():
                yield from _in_tar(bundle, wanted)
            elif (bundle / MANIFEST).is_file():
                yield from _in_folder(bundle, wanted)


def _in_folder(bundle: Path, wanted: WantedFile) -> Iterator[Place]:
    try:
        raw = read_bounded(bundle / MANIFEST, MAX_MANIFEST_BYTES)
        names = _names(raw, wanted)
    except ContractError:
        return  # somebody else's folder
    for name in names:
        if (bundle / name).is_file() and (bundle / name).stat().st_size == wanted.size:
            yield Place(bundle / name, 0)


def _in_tar(bundle: Path, wanted: WantedFile) -> Iterator[Place]:
    with tarfile.open(bundle, "r:") as archive:
        members: dict[str, tarfile.TarInfo] = {}
        for member in archive:
            if member.isreg() and len(members) < MAX_TAR_MEMBERS:
                members[member.name.removeprefix("./")] = member
        manifest = members.get(MANIFEST)
        stream = None if manifest is None or manifest.size > MAX_MANIFEST_BYTES else archive.extractfile(manifest)
        if stream is None:
            return
        try:
            names = _names(stream.read(), wanted)
        except ContractError:
            return
    for name in names:
        if name in members and members[name].size == wanted.size:
            yield Place(bundle, members[name].offset_data)


def _names(raw: bytes, wanted: WantedFile) -> list[str]:
    if codec.sha256_of(raw) == wanted.digest:
        return [MANIFEST]
    manifest: Manifest = decode_manifest(raw)
    return [name for name, entry in manifest.files.items() if entry.sha256 == wanted.digest]


def _read(place: Place, wanted: WantedFile, run: range) -> list[Piece]:
    try:
        descriptor = os.open(place.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return [
                Piece(index, os.pread(descriptor, chunk_length(wanted.size, index), place.offset + index * CHUNK_BYTES)) for index in run
            ]
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SourceAwayError(f"{place.path}: {error.strerror or error!r}") from error
