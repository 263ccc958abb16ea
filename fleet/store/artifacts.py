"""Keeps files by digest in a folder or an object store: written beside, checked, then renamed."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import fsspec

from contracts.errors import TamperedError, TooLargeError
from fleet.errors.releases import ArtifactPlaceError, UnknownArtifactError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class ArtifactStore:
    """Content by sha256, on any file system that fsspec opens."""

    def __init__(self, url: str) -> None:
        """Use the folder at `url`, which is made when missing; raise ArtifactPlaceError."""
        try:
            found: tuple[AbstractFileSystem, str] = fsspec.core.url_to_fs(url)
            self._files, self._root = found
            self._files.makedirs(f"{self._root}/.incoming", exist_ok=True)
        except _faults() as error:
            raise ArtifactPlaceError(url, str(error)) from error

    def size_of(self, sha256: str) -> int | None:
        """Return a file's bytes; None when it is not here."""
        try:
            return int(self._files.size(self._place(sha256)))
        except FileNotFoundError:
            return None

    def read(self, sha256: str, start: int, length: int) -> bytes:
        """Return a part of a file; raise UnknownArtifactError."""
        try:
            part = self._files.cat_file(self._place(sha256), start=start, end=start + length)
        except FileNotFoundError as error:
            raise UnknownArtifactError(sha256) from error
        assert isinstance(part, bytes)
        return part

    def link(self, sha256: str, life_s: int) -> str | None:
        """Return a link by which anybody may read a file for a while; None where files are not on a store that signs such links."""
        try:
            signed = self._files.sign(self._place(sha256), expiration=life_s)
        except NotImplementedError:
            return None
        assert isinstance(signed, str)
        return signed

    def export(self, sha256: str, file: Path) -> None:
        """Copy a file to the local disk; raise UnknownArtifactError."""
        try:
            self._files.get_file(self._place(sha256), str(file))
        except FileNotFoundError as error:
            raise UnknownArtifactError(sha256) from error

    def receive(self, sha256: str, max_bytes: int) -> Incoming:
        """Begin to take in a file."""
        return Incoming(self._files, f"{self._root}/.incoming/{uuid.uuid4().hex}", self._place(sha256), sha256, max_bytes)

    def _place(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"


def _faults() -> tuple[type[Exception], ...]:
    """Return what opening a place raises; an object store's own errors are no OSErrors."""
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return (ImportError, ValueError, OSError)
    return (ImportError, ValueError, OSError, BotoCoreError)


class Incoming:
    """A file that arrives in blocks; only `finish` makes it visible."""

    def __init__(self, files: AbstractFileSystem, path: str, place: str, sha256: str, max_bytes: int) -> None:
        """Open the file beside its place."""
        self._files = files
        self._path = path
        self._place = place
        self._sha256 = sha256
        self._max_bytes = max_bytes
        self._size = 0
        self._digest = hashlib.sha256()
        self._stream: BinaryIO = files.open(path, "wb")

    def write(self, block: bytes) -> None:
        """Append; raise TooLargeError past the bound."""
        self._size += len(block)
        if self._size > self._max_bytes:
            raise TooLargeError(f"artifact {self._sha256}", self._max_bytes, self._size)
        self._digest.update(block)
        self._stream.write(block)

    def finish(self) -> None:
        """Check the digest and move the file to its place; raise TamperedError."""
        self._stream.close()
        if self._digest.hexdigest() != self._sha256:
            raise TamperedError(f"artifact {self._sha256}", self._sha256, self._digest.hexdigest())
        self._files.makedirs(self._place.rpartition("/")[0], exist_ok=True)
        self._files.mv(self._path, self._place)

    def discard(self) -> None:
        """Clean up; after `finish` there is nothing to do."""
        self._stream.close()
        if self._files.exists(self._path):
            self._files.rm(self._path)
