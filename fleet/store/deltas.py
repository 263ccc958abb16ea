"""Keeps what was found out about deltas, for each pair of files: the offer of one, or that there is none worth its bytes."""

from __future__ import annotations

from pathlib import Path

import fsspec
from pydantic import BaseModel

from contracts import codec
from contracts.downlinks import Offer
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES
from fleet.store.artifacts import ArtifactStore

_BLOCK_BYTES = 1 << 20


class Finding(BaseModel, frozen=True):
    """What came of making a delta."""

    offer: Offer | None = None


class DeltaStore:
    """Findings by target and base; the deltas themselves are artifacts like any other."""

    def __init__(self, url: str, artifacts: ArtifactStore) -> None:
        """Use the folder at `url`, which is made when needed."""
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._artifacts = artifacts

    def find(self, base: str, target: str) -> Finding | None:
        """Return what is known of a pair; None when it was never tried, or what came of it is lost."""
        try:
            raw = self._files.cat_file(self._place(base, target))
        except FileNotFoundError:
            return None
        try:
            finding = codec.decode(Finding, raw, name=f"delta from {base} to {target}", max_bytes=MAX_MESSAGE_BYTES)
        except ContractError:
            return None
        is_lost = finding.offer is not None and self._artifacts.size_of(finding.offer.delta.sha256) != finding.offer.delta.bytes
        return None if is_lost else finding

    def count(self, target: str) -> int:
        """Return how many bases were tried for a target."""
        try:
            return len(self._files.ls(f"{self._root}/{target}", detail=False))
        except FileNotFoundError:
            return 0

    def keep(self, base: str, target: str, finding: Finding) -> None:
        """Remember a pair."""
        self._files.makedirs(f"{self._root}/{target}", exist_ok=True)
        self._files.pipe_file(self._place(base, target), codec.encode(finding))

    def export(self, sha256: str, file: Path) -> None:
        """Copy an artifact to a local file; raise UnknownArtifactError."""
        self._artifacts.export(sha256, file)

    def add(self, file: Path, sha256: str) -> None:
        """Take in a finished delta."""
        incoming = self._artifacts.receive(sha256, file.stat().st_size)
        try:
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    incoming.write(block)
            incoming.finish()
        finally:
            incoming.discard()

    def _place(self, base: str, target: str) -> str:
        return f"{self._root}/{target}/{base}"
