"""Lets a signed release in: only when its signature, its counter, its manifest and all of its files are as they must be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from contracts.manifest import Manifest, decode_manifest
from contracts.trust import release_target_path
from fleet.core.releases import check_counter_grows
from fleet.errors.releases import IncompleteReleaseError, UntrustedReleaseError
from fleet.release.metadata import custom_of, manifest_digest, newest_counter, sources_of
from fleet.release.repository import Admission, Repository


class Files(Protocol):
    """Uploaded files by digest."""

    def size_of(self, sha256: str) -> int | None:
        """Return a file's bytes; None when it is not here."""

    def read(self, sha256: str, start: int, length: int) -> bytes:
        """Return a part of a file."""


class ReleaseList(Protocol):
    """The list that people see."""

    def add(self, manifest: Manifest, now: datetime) -> None:
        """Keep a release, in place of one with the same counter."""


class ReleaseDesk:
    """Where operators hand in releases."""

    def __init__(self, repository: Repository, files: Files, releases: ReleaseList, on_change: Callable[[], None]) -> None:
        """Call `on_change` when devices must be told."""
        self._repository = repository
        self._files = files
        self._releases = releases
        self._on_change = on_change

    def add(self, targets_raw: bytes, team: str | None, now: datetime) -> Manifest:
        """Take in a release on the fleet's list or, for a model, on its team's; raise the error that says why not."""
        with self._repository.lock:
            admission = self._repository.admit(targets_raw, team, now)
            manifest = self._check(admission, team)
            # After a crash between the two, adding the release again repairs both.
            self._releases.add(manifest, now)
            self._repository.accept(admission, now)
        self._on_change()
        return manifest

    def _check(self, admission: Admission, team: str | None) -> Manifest:
        target = admission.added
        release = custom_of(target)
        sources_of(target)  # a list that a device reads in vain is not let in
        if team not in (None, release.model):
            raise UntrustedReleaseError(f"a release of {team}, which is all that its team may sign", f"one of {release.model}")
        if target.path != release_target_path(release.model, release.release):
            raise UntrustedReleaseError(release_target_path(release.model, release.release), target.path)
        known = {**self._repository.current_list(None).targets, **self._repository.current_list(release.model).targets}
        check_counter_grows(release.model, release.release, newest_counter(known, release.model))
        manifest = self._manifest(release.model, release.release, manifest_digest(target), target.length)
        found = (manifest.name, manifest.release, tuple(sorted(manifest.artifacts)))
        if found != (release.model, release.release, tuple(sorted(release.targets))):
            raise UntrustedReleaseError(f"a manifest of {release.model} {release.release}", f"one of {found[0]} {found[1]}")
        for path, entry in manifest.files.items():
            if self._files.size_of(entry.sha256) != entry.bytes:
                raise IncompleteReleaseError(manifest.name, manifest.release, path)
        return manifest

    def _manifest(self, model: str, release: int, sha256: str, length: int) -> Manifest:
        if self._files.size_of(sha256) != length:
            raise IncompleteReleaseError(model, release, "manifest.json")
        return decode_manifest(self._files.read(sha256, 0, length))
