"""Reads what a release asks of devices from its manifest, which lies among the uploaded files."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from contracts.manifest import decode_manifest
from contracts.messages import ReleaseRef
from fleet.core.fit import Package, package_of
from fleet.errors.releases import UnknownArtifactError

# A manifest never changes; a fleet has few models at once.
MAX_KEPT = 64


class Files(Protocol):
    """Uploaded files by digest."""

    def size_of(self, sha256: str) -> int | None:
        """Return a file's bytes; None when it is not here."""

    def read(self, sha256: str, start: int, length: int) -> bytes:
        """Return a part of a file."""


class PackageShelf:
    """The newest asked for are kept."""

    def __init__(self, files: Files) -> None:
        """Read manifests from `files`."""
        self._files = files
        self._read = lru_cache(MAX_KEPT)(self._read_manifest)

    def of(self, release: ReleaseRef) -> Package | None:
        """Return a release's needs; None when its manifest is not here."""
        try:
            return self._read(release)
        except UnknownArtifactError:
            return None

    def get(self, release: ReleaseRef) -> Package:
        """Return a release's needs; raise UnknownArtifactError."""
        return self._read(release)

    def _read_manifest(self, release: ReleaseRef) -> Package:
        digest = release.manifest_sha256
        size = self._files.size_of(digest)
        if size is None:
            raise UnknownArtifactError(digest)
        return package_of(release, decode_manifest(self._files.read(digest, 0, size)))
