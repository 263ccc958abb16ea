"""Brings one file by a delta from one that the device holds, and the whole file where that is not to be had."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio

from agent.control.downloader import Downloader
from agent.control.ports.files import Incoming, Patcher, Store
from agent.core.patching import MIN_TARGET_BYTES, PatchOrder
from agent.core.pieces import WantedFile
from agent.errors import FetchError, PatchError
from contracts.downlinks import Offer
from contracts.messages import MAX_BASES
from contracts.room import disk_shortfall

log = logging.getLogger(__name__)


class Shortcut:
    """The cheapest way to a file; whatever goes wrong with a delta, the whole file is still to be had."""

    def __init__(self, store: Store, incoming: Incoming, downloader: Downloader, patcher: Patcher) -> None:
        """Collect deltas and files in `incoming`; bases lie in `store`."""
        self._store = store
        self._incoming = incoming
        self.downloader = downloader
        self._patcher = patcher

    async def fetch(self, wanted: WantedFile, bases: Mapping[str, Path], on_bytes: Callable[[int], None]) -> None:
        """Bring a file into `incoming`, telling `on_bytes` how much of it came; raise FetchError."""
        named = tuple(bases)[:MAX_BASES] if wanted.size >= MIN_TARGET_BYTES and wanted.digest not in bases else ()
        answer = await self.downloader.fetch_or_offer(wanted, named, on_bytes)
        if not isinstance(answer, Offer):
            return
        try:
            await self._follow(answer, wanted, bases[answer.base])
        except (FetchError, PatchError, OSError) as error:
            log.warning("file %s: %s; fetching all of it", wanted.digest, error)
            await self.downloader.fetch(wanted, on_bytes)
        else:
            on_bytes(wanted.size)

    async def _follow(self, offer: Offer, wanted: WantedFile, base: Path) -> None:
        reason = disk_shortfall(offer.delta.bytes + wanted.size, self._store.free_bytes())
        if reason is not None:
            raise FetchError(reason)
        delta = offer.delta
        path = await self.downloader.fetch(WantedFile(delta.sha256, delta.bytes, delta.chunks), lambda _: None, give_up_s=0.0)
        target = self._incoming.patched(wanted.digest)
        try:
            order = PatchOrder(base=str(base), delta=str(path), target=str(target), sha256=wanted.digest, bytes=wanted.size)
            await self._patcher.apply(order)
            await anyio.to_thread.run_sync(self._incoming.adopt, wanted.digest, wanted.size)
        finally:
            target.unlink(missing_ok=True)
            self._incoming.drop(delta.sha256)
        log.info("file %s: %d bytes of delta made %d", wanted.digest, delta.bytes, wanted.size)
