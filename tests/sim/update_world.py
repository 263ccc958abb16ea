"""A small world around the real update machine: one disk, one worker, one fleet.

A world is a tuple of small values, so that all that can happen to it can be followed. Whatever goes wrong costs one of its `faults`;
what the fleet wishes anew costs one of its `wishes`. Releases are known by their place in RELEASES, 0 is none; a wish for one to run as
a shadow is known by the negative.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from agent.core.update import (
    Effect,
    Event,
    Wished,
)
from contracts.shadow import ShadowTerms
from tests.sim.update_machine import RELEASES

MANIFEST_BYTES = 100
IN_SHADOW = -2
TERMS = ShadowTerms(share=0.05, life_s=1000.0)


class World(NamedTuple):
    """All there is; numbers of states are the machine's."""

    disk: int
    # The agent's own state; None while no agent runs.
    mind: int | None
    # Decided, and not yet on the disk: the state, its effects, and whether damage is the cause.
    decided: tuple[int, tuple[Effect, ...], bool] | None
    # Deeds that are under way or wait for their turn.
    deeds: tuple[Effect, ...]
    events: tuple[Event, ...]
    # Unpacked releases whose bytes are right.
    files: frozenset[int]
    serving: int
    is_full: bool
    # The fleet's document, and the one before it: release and generation.
    wish: tuple[int, int]
    old_wish: tuple[int, int]
    faults: int
    wishes: int
    # Only for the judge: what was rolled back and not committed since, and whether the disk ever lost bytes.
    blamed: frozenset[int]
    was_damaged: bool


def died(world: World) -> World:
    """End the agent and its worker."""
    return world._replace(mind=None, decided=None, deeds=(), events=(), serving=0)


@lru_cache(None)
def wished(wish: tuple[int, int]) -> Wished:
    """Return a document of the fleet as the machine hears it."""
    release, generation = wish
    return Wished(RELEASES[abs(release)], MANIFEST_BYTES, generation, TERMS if release < 0 else None)
