"""Listens for what devices said since the last time."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from fleet.core.inventory import Inventory
from fleet.core.rollout.model import Standing


class Roster(Protocol):
    """What every device said last."""

    def heard_since(self, earlier: int, now: datetime) -> tuple[int, set[str]]:
        """Return the number of this round, and the devices that spoke since an earlier one; 0 is the first."""

    def get(self, device: str) -> Inventory | None:
        """Return a device as it was known when somebody looked last."""


class Ear:
    """One listener's place in the fleet's memory."""

    def __init__(self, roster: Roster) -> None:
        """Nothing was heard yet."""
        self._roster = roster
        self._round = 0

    def listen(self, now: datetime) -> set[str]:
        """Return the devices that said something new."""
        self._round, fresh = self._roster.heard_since(self._round, now)
        return fresh

    def standing(self, device: str, model: str) -> Standing | None:
        """Return how a model stands on a device; None for one that never spoke."""
        known = self._roster.get(device)
        return None if known is None else known.standing(model)
