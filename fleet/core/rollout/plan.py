"""Decides which wave reaches a device first, in an order that looks random and is the same for one release every time."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import floor

from contracts.pace import Hours
from contracts.shadow import ShadowTerms
from fleet.core.gates.verdict import GatePolicy

# Of a device that is on its way, and of one that was not met.
DEFAULT_DEADLINE_S = 1800.0


class Strategy(str, Enum):
    """How a change reaches its devices."""

    ALL_AT_ONCE = "all-at-once"
    PHASED = "phased"  # wave by wave, while few are lost
    CANARY = "canary"  # wave by wave, each compared with devices that do not have the release yet
    SHADOW = "shadow"  # wave by wave, each first beside the release that serves, and by its agreement with it
    SPLIT = "split"  # two releases, each on one half, for as long as asked


@dataclass(frozen=True)
class Size:
    """A number of devices, or a percentage of them."""

    amount: float
    is_percent: bool

    def of(self, devices: int) -> int:
        """Return how many of so many devices it is, never more than its share of them."""
        # Nine digits, because 0.29 times 100 is a little less than 29.
        return min(devices, floor(round(self.amount * devices / 100, 9))) if self.is_percent else min(devices, int(self.amount))

    def __str__(self) -> str:
        return f"{self.amount:g}%" if self.is_percent else f"{self.amount:g}"


EVERYBODY = Size(100, is_percent=True)


@dataclass(frozen=True)
class Plan:
    """What a rollout was told at its start; it never changes."""

    strategy: Strategy = Strategy.ALL_AT_ONCE
    # How much of the fleet has been reached with each wave; the last is everybody.
    waves: tuple[Size, ...] = (EVERYBODY,)
    # How many may be lost among those reached so far; one more stops the rollout. None: it goes to its end, whoever is lost.
    threshold: Size | None = None
    # What must be known of a wave before the next one; None: its devices have an outcome.
    gate: GatePolicy | None = None
    # How many times the usual 95th percentile a request may take before it counts as slow.
    latency_ratio: float = 1.2
    # How long a wave is watched after its last outcome.
    soak_s: float = 0.0
    # How long, after that, the gate may wait for evidence before a person is asked.
    patience_s: float = 3600.0
    # A device that was met and has no outcome by then is lost.
    deadline_s: float = DEFAULT_DEADLINE_S
    # A device that was not met by then is no longer waited for.
    contact_s: float = DEFAULT_DEADLINE_S
    # When devices may be offered the release, by their own clocks.
    hours: Hours | None = None
    # Time zone of devices that name none.
    zone: str = "UTC"
    rate_per_min: int | None = None
    needs_approval: bool = False
    # Whether devices that are added meanwhile join the last wave.
    takes_newcomers: bool = False
    # Whether a stop returns those that have the release already.
    takes_back: bool = False
    # How long two halves are compared.
    hold_s: float = 0.0
    # On which terms candidates run in shadow, and of how many inputs a device must tell before it counts.
    shadow: ShadowTerms | None = None
    min_inputs: int = 0


def order(seed: str, devices: Iterable[str]) -> list[str]:
    """Put devices in the order in which the change reaches them."""
    return sorted(devices, key=lambda device: hashlib.sha256(f"{seed}/{device}".encode()).digest())


def waves_of(sizes: Sequence[Size], devices: int) -> list[int]:
    """Return the wave of each position in the order: the first has somebody, and none reaches more than its share."""
    reached: list[int] = []
    for size in sizes[:-1]:
        reached.append(min(devices, max(1, size.of(devices), reached[-1] if reached else 0)))
    return [bisect_right(reached, position) for position in range(devices)]
