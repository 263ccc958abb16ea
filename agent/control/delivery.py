"""Brings a whole release to the device: its manifest, then the files of our target, then all in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio

from agent.control.ports.files import Incoming, Store
from agent.control.ports.machine import Sensors
from agent.control.shortcut import Shortcut
from agent.core.admission import Fit, mismatch
from agent.core.pieces import WantedFile
from agent.core.preflight import Refusal, refusal
from agent.errors import FetchError, UnsuitableReleaseError
from contracts.bundle import read_bounded
from contracts.chunks import CHUNK_BYTES, chunk_count
from contracts.errors import ContractError
from contracts.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest, decode_manifest
from contracts.messages import ReleaseRef

# Heat and load pass; a full disk is emptied by somebody.
LOOK_AGAIN_S = 15.0


@dataclass(frozen=True)
class Installed:
    """A release that lies unpacked on the disk."""

    release: ReleaseRef
    folder: Path
    target: str


class Witness(Protocol):
    """Who is told how a download is doing."""

    def on_progress(self, share: float) -> None:
        """Hear what share of the bytes is here."""

    def on_refusal(self, refusal: Refusal | None) -> None:
        """Hear why the device does not take it now, or that it does again."""


class Delivery:
    """From a wish to a folder; every step may be repeated, and does not do again what is done."""

    def __init__(
        self, store: Store, incoming: Incoming, shortcut: Shortcut, fit: Fit, sensors: Sensors, look_again_s: float = LOOK_AGAIN_S
    ) -> None:
        """Unpack into `store` what `shortcut` and its downloader collect in `incoming`."""
        self._store = store
        self._incoming = incoming
        self._downloader = shortcut.downloader
        self._shortcut = shortcut
        self._fit = fit
        self._sensors = sensors
        self._look_again_s = look_again_s
        # Releases from their first byte to the end of their life: what came for them must stay.
        self._underway: set[str] = set()
        self._hands = anyio.Lock()

    async def fetch(self, release: ReleaseRef, manifest_bytes: int, witness: Witness) -> None:
        """Collect everything, once the device can take it; raise FetchError or UnsuitableReleaseError."""
        async with self._hands:  # never while another model's life is being cleared away
            self._underway.add(release.manifest_sha256)
        if await self.installed(release) is not None:
            return
        try:
            await self._fetch(release, manifest_bytes, witness)
        except OSError as error:
            raise FetchError(f"disk: {error.strerror or error!r}") from error

    async def stage(self, release: ReleaseRef) -> Installed:
        """Unpack what was fetched; raise FetchError when the disk does not take it."""
        if (installed := await self.installed(release)) is not None:
            return installed
        digest = release.manifest_sha256
        try:
            raw = read_bounded(self._incoming.path(digest), MAX_MANIFEST_BYTES)
            files = {path: self._incoming.path(entry.sha256) for path, entry in self._files(decode_manifest(raw)).items()}
            await anyio.to_thread.run_sync(self._store.stage, digest, raw, files)
        except (OSError, ContractError) as error:
            raise FetchError(f"unpacking: {error}") from error
        if (installed := await self.installed(release)) is None:
            raise FetchError(f"unpacking: expected release {release.release} as its digest {digest} says, found other bytes")
        return installed

    async def installed(self, release: ReleaseRef) -> Installed | None:
        """Return an unpacked release if every byte of it is right."""
        try:
            manifest = await anyio.to_thread.run_sync(self._store.check, release.manifest_sha256, self._fit)
        except ContractError:
            return None
        target = self._fit.target_of(manifest)
        return None if target is None else Installed(release, self._store.release_dir(release.manifest_sha256), target)

    async def tidy(self, ended: ReleaseRef) -> None:
        """Remove releases that no slot names, and downloads that nobody continues now that the life of `ended` is over."""
        async with self._hands:
            self._underway.discard(ended.manifest_sha256)
            await anyio.to_thread.run_sync(self._store.collect)
            if not self._underway:
                await anyio.to_thread.run_sync(self._incoming.clear)

    async def _fetch(self, release: ReleaseRef, manifest_bytes: int, witness: Witness) -> None:
        await self._wait_until_fit(manifest_bytes, 0, witness)
        digest = release.manifest_sha256
        chunks = (digest,) if chunk_count(manifest_bytes) == 1 else None
        path = await self._downloader.fetch(WantedFile(digest, manifest_bytes, chunks), lambda _: None)
        try:
            manifest = decode_manifest(read_bounded(path, MAX_MANIFEST_BYTES))
        except ContractError as error:
            raise UnsuitableReleaseError(str(error)) from error
        reason = mismatch(manifest, release, self._fit)
        if reason is not None:
            raise UnsuitableReleaseError(reason)
        paths = {entry.sha256: path for path, entry in self._files(manifest).items()}
        entries = [manifest.files[path] for path in paths.values()]
        total = sum(entry.bytes for entry in entries)
        remaining = sum(self._remaining_bytes(entry) for entry in entries)
        await self._wait_until_fit(remaining, total, witness)
        here = total - remaining

        def count(new_bytes: int) -> None:
            nonlocal here
            here += new_bytes
            witness.on_progress(min(1.0, here / max(total, 1)))

        for entry in entries:
            bases = await anyio.to_thread.run_sync(self._store.held, release.model, paths[entry.sha256])
            await self._shortcut.fetch(WantedFile(entry.sha256, entry.bytes, entry.chunks), bases, count)

    def _files(self, manifest: Manifest) -> dict[str, FileEntry]:
        target = self._fit.target_of(manifest)
        return {} if target is None else {path: manifest.files[path] for path in manifest.paths_for(target)}

    def _remaining_bytes(self, entry: FileEntry) -> int:
        return min(entry.bytes, CHUNK_BYTES * len(self._incoming.missing(entry.sha256, entry.bytes)))

    async def _wait_until_fit(self, download_bytes: int, files_bytes: int, witness: Witness) -> None:
        told = None
        while (found := refusal(download_bytes, files_bytes, await self._sensors.condition())) is not None:
            if told != found.name:
                told = found.name
                witness.on_refusal(found)
            await anyio.sleep(self._look_again_s)
        if told is not None:
            witness.on_refusal(None)
