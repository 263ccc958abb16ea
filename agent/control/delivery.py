"""Brings a whole release to the device: its manifest, then the files of our target, then all in one folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio

from agent.control.ports.files import Incoming, Store
from agent.control.ports.machine import Sensors
from agent.control.shortcut import Shortcut
from agent.core.admission import Fit, mismatch
from agent.core.pieces import WantedFile
from agent.core.preflight import Refusal, refusal
from agent.errors import FetchError, StateError, UnsuitableReleaseError
from contracts.chunks import CHUNK_BYTES, chunk_count
from contracts.errors import ContractError
from contracts.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest, decode_manifest
from contracts.messages import ReleaseRef
from contracts.small_files import read_bounded

# Heat and load pass; a full disk is emptied by somebody.
LOOK_AGAIN_S = 15.0
# A release of this size is read in some two seconds on the slowest board: it is checked before it serves, a larger one while it does.
CHECK_FIRST_BYTES = 64 << 20

log = logging.getLogger(__name__)


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
        try:
            if await self.installed(release) is None:
                await self._fetch(release, manifest_bytes, witness)
        except OSError as error:
            raise FetchError(f"disk: {error.strerror or error!r}") from error
        except StateError as error:
            raise FetchError(f"disk: {error.reason}") from error

    async def stage(self, release: ReleaseRef) -> Installed:
        """Unpack what was fetched; raise FetchError when the disk does not take it."""
        if (installed := await self.installed(release)) is not None:
            return installed
        digest = release.manifest_sha256
        try:
            raw = read_bounded(self._incoming.path(digest), MAX_MANIFEST_BYTES)
            files = {path: self._incoming.path(entry.sha256) for path, entry in self._files(decode_manifest(raw)).items()}
            await anyio.to_thread.run_sync(self._store.stage, digest, raw, files)
            installed = await self.installed(release)
        except (OSError, ContractError, StateError) as error:
            raise FetchError(f"unpacking: {error}") from error
        if installed is None:
            raise FetchError(f"unpacking: expected release {release.release} as its digest {digest} says, found other bytes")
        return installed

    async def installed(self, release: ReleaseRef) -> Installed | None:
        """Return an unpacked release if every byte of it is right; raise StateError when that cannot be told now."""
        return await self._look(release, None)

    async def at_hand(self, release: ReleaseRef) -> Installed | None:
        """Return an unpacked release that was proven once, to serve without delay; a large one is inspected while it serves."""
        while True:
            try:
                return await self._look(release, CHECK_FIRST_BYTES)
            except StateError as error:  # noqa: PERF203 - a turn takes seconds
                log.error("%s; looking again in %g s", error, self._look_again_s)
                await anyio.sleep(self._look_again_s)

    async def mend(self, release: ReleaseRef) -> tuple[str, ...]:
        """Fetch damaged files of an unpacked release again, in place; return them. Raise ContractError, AgentError or OSError."""
        digest = release.manifest_sha256
        mended: dict[str, WantedFile] = {}
        while damaged := await self._damaged(digest):
            if not damaged.keys().isdisjoint(mended):
                raise FetchError(f"expected the disk to keep what is written, found {', '.join(damaged)} wrong again")
            async with self._hands:
                self._underway.add(digest)
            try:
                await self._take_copies(damaged.values())
                for path, wanted in damaged.items():
                    source = await self._downloader.fetch(wanted, lambda _: None, give_up_s=0.0)
                    await anyio.to_thread.run_sync(self._store.mend, digest, path, source)
            finally:
                await self.tidy(release)
            mended |= damaged
        return tuple(mended)

    async def sweep(self) -> None:
        """Remove what an agent that died left behind; before anything else is begun."""
        async with self._hands:
            try:
                await anyio.to_thread.run_sync(self._sweep)
            except (OSError, StateError) as error:
                log.warning("leftovers stay for now: %s", error)

    async def tidy(self, ended: ReleaseRef) -> None:
        """Remove releases that no slot names, and downloads that nobody continues now that the life of `ended` is over."""
        async with self._hands:
            self._underway.discard(ended.manifest_sha256)
            try:
                await anyio.to_thread.run_sync(self._store.collect)
                if not self._underway:
                    await anyio.to_thread.run_sync(self._incoming.clear)
            except (OSError, StateError) as error:
                log.warning("leftovers stay until the next release has ended: %s", error)

    async def _look(self, release: ReleaseRef, check_bytes: int | None) -> Installed | None:
        digest = release.manifest_sha256
        try:
            manifest = await anyio.to_thread.run_sync(self._store.glance, digest, self._fit)
            if check_bytes is None or sum(entry.bytes for entry in self._files(manifest).values()) <= check_bytes:
                await anyio.to_thread.run_sync(self._store.check, digest, self._fit)
        except ContractError:
            return None
        target = self._fit.target_of(manifest)
        return None if target is None else Installed(release, self._store.release_dir(digest), target)

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
        await self._take_copies([WantedFile(entry.sha256, entry.bytes, entry.chunks) for entry in entries])
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

    async def _damaged(self, digest: str) -> dict[str, WantedFile]:
        # An agent that leaves must not wait until gigabytes were read.
        leaving = threading.Event()
        try:
            return await anyio.to_thread.run_sync(self._store.damaged, digest, self._fit, leaving.wait, abandon_on_cancel=True)
        finally:
            leaving.set()

    async def _take_copies(self, wanted: Iterable[WantedFile]) -> None:
        """Let what other releases on this disk have count as arrived: a file that releases share is fetched, and stored, once."""
        missing = {each.digest: each.size for each in wanted if self._incoming.missing(each.digest, each.size)}
        for digest, place in await anyio.to_thread.run_sync(self._store.copies, frozenset(missing)):
            if digest in missing and await anyio.to_thread.run_sync(self._incoming.take, digest, missing[digest], place):
                del missing[digest]

    def _sweep(self) -> None:
        self._store.collect()
        if any(self._store.load(model).candidate for model in self._store.models()):
            self._incoming.sweep()
        else:
            self._incoming.clear()

    def _files(self, manifest: Manifest) -> dict[str, FileEntry]:
        target = self._fit.target_of(manifest)
        return {} if target is None else {path: manifest.files[path] for path in manifest.paths_for(target)}

    def _remaining_bytes(self, entry: FileEntry) -> int:
        return min(entry.bytes, CHUNK_BYTES * len(self._incoming.missing(entry.sha256, entry.bytes)))

    async def _wait_until_fit(self, download_bytes: int, files_bytes: int, witness: Witness) -> None:
        told, has_made_room = None, False
        while (found := refusal(download_bytes, files_bytes, await self._sensors.condition())) is not None:
            if found.name == "disk" and not has_made_room:
                # What is kept without need goes first.
                await anyio.to_thread.run_sync(partial(self._store.collect, keep_earlier=False))
                has_made_room = True
                continue
            if told != found.name:
                told = found.name
                witness.on_refusal(found)
            await anyio.sleep(self._look_again_s)
        if told is not None:
            witness.on_refusal(None)
