"""What proving a release on this device needs: what the device is, what is noted with the release, and who builds engines."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from agent.core.engines import BuildOrder, Built, EngineRecord
from agent.core.platform import Platform
from agent.core.proof import Proof


class PlatformFacts(Protocol):
    """What computations on this device rest on."""

    async def read(self) -> Platform:
        """Look once."""


class ReleaseNotes(Protocol):
    """What this device noted about unpacked releases; every path is a release's folder."""

    def proof(self, folder: Path) -> Proof | None:
        """Return its newest proof."""

    def keep_proof(self, folder: Path, proof: Proof) -> None:
        """Note a proof; OSError when the disk does not take it."""

    def take_engine(self, folder: Path, key: str) -> bool:
        """Use the engine of this key, if there is one that is whole."""

    def forget_engine(self, folder: Path) -> None:
        """Leave the release without any engine, so that none of another system is loaded; raise OSError."""

    def begin_engine(self, folder: Path, key: str) -> Path:
        """Return an empty folder to build in."""

    def seal_engine(self, folder: Path, key: str, record: EngineRecord) -> None:
        """Keep what was built there, and use it."""

    def engine_bytes(self) -> int:
        """Return what all engines take on the disk."""

    def usual_build_s(self, model: str, target: str) -> float | None:
        """Return what building took before."""


class EngineBuilder(Protocol):
    """Who builds engines."""

    async def build(self, order: BuildOrder) -> Built:
        """Build into the order's folder; raise EngineError."""
