"""What the control process needs of the disk for what waits for the link."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agent.core.drawers import Label


class Syncing(Protocol):
    """Who can bring drawers to rest."""

    def sync(self, labels: Iterable[Label]) -> None:
        """Wait until the disk itself has all of these files, those that are gone excepted; on any thread; raise StateError."""
