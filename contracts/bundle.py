"""A bundle on disk: manifest.json, its digest beside it, and every file it lists; same content, same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from contracts import codec
from contracts.chunks import chunk_digests
from contracts.errors import InvalidDocumentError, MissingFileError, TamperedError, TooLargeError
from contracts.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest, decode_manifest
from contracts.small_files import read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST = "manifest.json"
# One line in the form that `sha256sum --check` reads.
MANIFEST_DIGEST = "manifest.sha256"


def file_entry(raw: bytes) -> FileEntry:
    """Describe one file's content."""
    return FileEntry(sha256=codec.sha256_of(raw), bytes=len(raw), chunks=chunk_digests(raw))


def write_bundle(folder: Path, manifest: Manifest, files: Mapping[str, bytes], unlisted: Mapping[str, bytes] | None = None) -> None:
    """Write a bundle whole or not at all: built beside `folder`, then renamed over it.

    `files` maps every path of `manifest.files` to its content; a mismatch is a TamperedError or a MissingFileError. What is `unlisted` is
    for people who open the folder: it is neither signed nor delivered, and may differ between two makings of the same bundle.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.parent / f".{folder.name}.building"
    shutil.rmtree(building, ignore_errors=True)
    try:
        for path, entry in sorted(manifest.files.items()):
            if path not in files:
                raise MissingFileError(path)
            _check_digest(path, entry, codec.sha256_of(files[path]))
            _write(building / path, files[path])
        for path, content in (unlisted or {}).items():
            _write(building / path, content)
        raw = codec.encode(manifest)
        _write(building / MANIFEST, raw)
        _write(building / MANIFEST_DIGEST, f"{codec.sha256_of(raw)}  {MANIFEST}\n".encode())
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def read_bundle(folder: Path) -> Manifest:
    """Return the manifest of a bundle of which every byte was checked.

    Raises MissingFileError, TamperedError, TooLargeError or InvalidDocumentError, each naming the file.
    """
    raw = read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES)
    line = read_bounded(folder / MANIFEST_DIGEST, 200)
    digest = codec.sha256_of(raw)
    expected, _, name = line.decode(errors="replace").partition("  ")
    if name != f"{MANIFEST}\n":
        raise InvalidDocumentError(str(folder / MANIFEST_DIGEST), "line", f"'<sha256>  {MANIFEST}'", repr(line[:80]))
    if digest != expected:
        raise TamperedError(str(folder / MANIFEST), expected, digest)
    manifest = decode_manifest(raw, str(folder / MANIFEST))
    check_files(folder, manifest, manifest.files)
    return manifest


def check_files(folder: Path, manifest: Manifest, paths: Iterable[str]) -> None:
    """Check that the named files of a manifest lie in `folder`, byte for byte."""
    for path in paths:
        entry = manifest.files[path]
        place = folder / path
        if not place.is_file():
            raise MissingFileError(str(place))
        if place.stat().st_size > entry.bytes:
            raise TooLargeError(str(place), entry.bytes, place.stat().st_size)
        with place.open("rb") as stream:
            _check_digest(str(place), entry, codec.sha256_of_stream(stream))


def _check_digest(name: str, entry: FileEntry, found: str) -> None:
    if found != entry.sha256:
        raise TamperedError(name, entry.sha256, found)


def _write(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
