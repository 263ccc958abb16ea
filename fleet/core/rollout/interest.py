"""Decides which devices of a rollout people want to see first."""

from __future__ import annotations

from contracts.lifecycle import FINAL, Phase
from fleet.core.rollout.model import LOST

# Those that went wrong first, then those on their way, then those that wait, then those that are done.
INTEREST = (
    LOST | {Phase.CANCELLED},
    frozenset(Phase) - FINAL - {Phase.PLANNED},
    frozenset({Phase.PLANNED}),
    frozenset({Phase.COMMITTED}),
)
