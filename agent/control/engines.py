"""Sees to it that a release has the engine it needs on this very platform: found, or built in the background under a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from agent.control.ports.proof import EngineBuilder, PlatformFacts, ReleaseNotes
from agent.core.engines import (
    BuildOrder,
    Built,
    EngineRecord,
    engine_key,
    is_built_on_device,
    needs_engine,
    progress,
    progress_text,
)
from agent.errors import EngineError
from contracts.agent_config import RuntimeSection
from contracts.bundle import MANIFEST
from contracts.errors import ContractError
from contracts.manifest import MAX_MANIFEST_BYTES, Manifest, decode_manifest
from contracts.small_files import read_bounded

LOOK_S = 1.0
MAX_FAILED = 32
# Is told what share of a build is probably done, and for people how far it is.
Witness = Callable[[float, str], None]


class Engines:
    """The engines of all models; one is built at a time, for there is one accelerator."""

    def __init__(self, notes: ReleaseNotes, facts: PlatformFacts, builder: EngineBuilder, runtime: RuntimeSection) -> None:
        """Build with `builder` what `notes` do not have."""
        self._notes = notes
        self._facts = facts
        self._builder = builder
        self._runtime = runtime
        self._hands = anyio.Lock()
        # Builds that failed: of which engine, why and when, by the release's folder.
        self._failed: dict[Path, tuple[str, EngineError, float]] = {}

    async def ensure(self, folder: Path, target: str, witness: Witness, again_after_s: float = 0.0) -> None:
        """Return once the release in `folder` can be loaded without building anything; raise EngineError.

        What failed is not tried again before `again_after_s` have passed, unless the system has changed.
        Cancelled, no builder stays behind, and what it began is swept away by the next build.
        """
        if not is_built_on_device(target):
            return
        try:
            manifest = await anyio.to_thread.run_sync(_manifest, folder)
            if not needs_engine(target, manifest.artifacts[target]):
                return
            async with self._hands:
                key = engine_key(manifest, target, self._runtime, await self._facts.read())
                if not await anyio.to_thread.run_sync(self._notes.take_engine, folder, key):
                    self._check_hope(folder, key, again_after_s)
                    await self._build_or_note(manifest, folder, target, key, witness)
        except (ContractError, OSError) as error:
            raise EngineError(str(error), may_pass=True) from error

    def _check_hope(self, folder: Path, key: str, again_after_s: float) -> None:
        failed_key, error, at_s = self._failed.get(folder, ("", None, 0.0))
        if error is not None and failed_key == key and time.monotonic() - at_s < again_after_s:
            raise error

    async def _build_or_note(self, manifest: Manifest, folder: Path, target: str, key: str, witness: Witness) -> None:
        try:
            await self._build(manifest, folder, target, key, witness)
        except EngineError as error:
            if len(self._failed) >= MAX_FAILED:
                self._failed.clear()
            self._failed[folder] = (key, error, time.monotonic())
            raise

    async def _build(self, manifest: Manifest, folder: Path, target: str, key: str, witness: Witness) -> None:
        estimate_s = await anyio.to_thread.run_sync(self._notes.usual_build_s, manifest.name, target)
        into = await anyio.to_thread.run_sync(self._notes.begin_engine, folder, key)
        order = BuildOrder(model=manifest.name, release_dir=str(folder), target=target, into=str(into), runtime=self._runtime)
        began_s = time.monotonic()
        built = await self._watched(order, lambda elapsed_s: witness(progress(elapsed_s, estimate_s), progress_text(elapsed_s, estimate_s)))
        seconds = time.monotonic() - began_s
        record = EngineRecord(model=manifest.name, target=target, provider=built.provider, seconds=seconds, files={})
        await self._check_room()
        await anyio.to_thread.run_sync(self._notes.seal_engine, folder, key, record)

    async def _watched(self, order: BuildOrder, tell: Callable[[float], None]) -> Built:
        began_s = time.monotonic()
        building = asyncio.ensure_future(self._builder.build(order))
        try:
            while not building.done():
                elapsed_s = time.monotonic() - began_s
                if elapsed_s > self._runtime.engine_build_s:
                    raise EngineError(f"no end in {self._runtime.engine_build_s:g} s; raise runtime.engine_build_s in agent.toml")
                await self._check_room()
                tell(elapsed_s)
                await asyncio.wait({building}, timeout=LOOK_S)
            return await building
        finally:
            building.cancel()
            with anyio.CancelScope(shield=True):  # ends soon after the builder's process is killed
                await asyncio.wait({building})

    async def _check_room(self) -> None:
        found = await anyio.to_thread.run_sync(self._notes.engine_bytes)
        if found > self._runtime.engine_cache_bytes:
            limit = f"at most {self._runtime.engine_cache_bytes}; raise runtime.engine_cache_bytes in agent.toml"
            raise EngineError(f"{found} bytes of engines on the disk, {limit}", may_pass=True)


def _manifest(folder: Path) -> Manifest:
    return decode_manifest(read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES), str(folder / MANIFEST))
