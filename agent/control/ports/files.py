"""What a download and an unpacking need of the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from agent.core.admission import Fit
from agent.core.patching import PatchOrder
from agent.core.pieces import WantedFile
from agent.core.update import Update
from contracts.chunks import Bitmap
from contracts.manifest import Manifest


class Incoming(Protocol):
    """Files that are still arriving."""

    def path(self, digest: str) -> Path:
        """Return where a file's bytes are."""

    def missing(self, digest: str, size: int) -> Bitmap:
        """Return the chunks that are not here."""

    def begin(self, digest: str, size: int, chunks: Sequence[str] | None) -> Bitmap:
        """Make room, and return the chunks that are not here for sure."""

    def write(self, digest: str, index: int, chunk: bytes | memoryview, missing: Bitmap) -> None:
        """Keep a checked chunk; `missing` is what is left after it."""

    def is_whole(self, digest: str, size: int) -> bool:
        """Say whether a file is here and right."""

    def patched(self, digest: str) -> Path:
        """Return where a file is put together from another one."""

    def adopt(self, digest: str, size: int) -> None:
        """Take a file that was put together for one that arrived."""

    def take(self, digest: str, size: int, source: Path) -> bool:
        """Let a file from elsewhere on this disk count as arrived, if its bytes are right; say whether they are."""

    def drop(self, digest: str) -> None:
        """Forget one file."""

    def clear(self) -> None:
        """Forget all files."""

    def sweep(self) -> None:
        """Remove what was being put together when the agent died."""


class Store(Protocol):
    """The state on disk; what the disk refuses is a StateError, what is damaged a ContractError."""

    def shadow_socket(self, model: str) -> Path:
        """Return where a candidate of a model listens for live answers; its folder exists once the model was served."""

    def models(self) -> tuple[str, ...]:
        """Return the models ever wished for."""

    def load(self, model: str) -> Update:
        """Return a model's machine, a new one if there is none."""

    def save(self, model: str, update: Update) -> None:
        """Remember it, and make the slots agree."""

    def release_dir(self, digest: str) -> Path:
        """Return where an unpacked release lies."""

    def check(self, digest: str, fit: Fit) -> Manifest:
        """Read an unpacked release, every byte checked; raise ContractError."""

    def glance(self, digest: str, fit: Fit) -> Manifest:
        """Look at an unpacked release's manifest and sizes only; raise ContractError."""

    def damaged(self, digest: str, fit: Fit, rest: Callable[[float], bool | None]) -> dict[str, WantedFile]:
        """Return which files of a release must be fetched again; raise ContractError when that cannot be told.

        It is read without haste: `rest` waits for some seconds, and is true when there is no time to go on.
        """

    def mend(self, digest: str, path: str, source: Path) -> None:
        """Put a file that was fetched again in its place."""

    def copies(self, digests: frozenset[str]) -> list[tuple[str, Path]]:
        """Return where unpacked releases have files of these digests."""

    def held(self, model: str, path: str) -> dict[str, Path]:
        """Return by digest what the unpacked releases of a model have at a path."""

    def stage(self, digest: str, manifest: bytes, files: Mapping[str, Path]) -> None:
        """Unpack a release."""

    def collect(self, *, keep_earlier: bool = True) -> None:
        """Remove what no slot names, but for what the policy keeps."""

    def free_bytes(self) -> int:
        """Return the room that is left."""


class Patcher(Protocol):
    """Who applies a delta."""

    async def apply(self, order: PatchOrder) -> None:
        """Write the target, every byte checked; raise PatchError."""
