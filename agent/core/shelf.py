"""What the outbox needs of the disk, and the values that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.core.drawers import Label, Letter


@dataclass(frozen=True)
class Limits:
    """How much waits at most; windows older than `max_age_s` are given up, counted while agents of this device run."""

    max_bytes: int
    max_age_s: float


@dataclass(frozen=True)
class Dropped:
    """What was given up since the fleet was told last; a merged window counts as all that it was merged of."""

    windows: int = 0
    others: int = 0


class Shelf(Protocol):
    """Where drawers are kept; every method raises StateError."""

    def labels(self) -> tuple[Label, ...]:
        """Return what is there."""

    def read(self, label: Label) -> list[Letter]:
        """Return a drawer's letters as far as they are legible."""

    def append(self, label: Label, letter: Letter) -> None:
        """Add a letter: there after the end of this process, and after a power cut once `sync` has returned."""

    def write(self, label: Label, letters: Sequence[Letter]) -> None:
        """Put a whole drawer there, whatever was there before, and wait for the disk."""

    def empty(self, label: Label) -> None:
        """Leave nothing in a drawer, but leave it open."""

    def remove(self, label: Label) -> None:
        """Remove a drawer that may not be there."""

    def dropped(self) -> Dropped:
        """Return what was counted last."""

    def count(self, dropped: Dropped) -> None:
        """Remember what was given up."""
