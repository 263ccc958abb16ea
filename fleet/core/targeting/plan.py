"""Decides what a release would do to the devices a query means: who takes which artifact, and who is left out for which reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.core.fit import Fit, Misfit, Package, fit_of
from fleet.core.inventory import Inventory
from fleet.core.targeting.predicate import predicate
from fleet.core.targeting.query import Query


@dataclass(frozen=True)
class TargetPlan:
    """Every device that was meant, as it was then, ordered by id; each is either chosen or excluded."""

    devices: tuple[Inventory, ...]
    chosen: Mapping[str, Fit]
    excluded: Mapping[str, Misfit]


def matching(query: Query, fleet: Iterable[Inventory], now: datetime) -> tuple[Inventory, ...]:
    """Return the devices that a resolved query means now, ordered by id."""
    return tuple(sorted(filter(predicate(query, now), fleet), key=lambda device: device.id))


def plan_targets(
    query: Query, package: Package, fleet: Iterable[Inventory], now: datetime, held: Mapping[str, Package] | None = None
) -> TargetPlan:
    """Say what a release would do to the devices that a resolved query means now.

    `held` are releases that devices run, by digest; those left out make only the estimate of downloads larger.
    """
    chosen: dict[str, Fit] = {}
    excluded: dict[str, Misfit] = {}
    meant = matching(query, fleet, now)
    for device in meant:
        match fit_of(package, device, held or {}):
            case Fit() as fit:
                chosen[device.id] = fit
            case Misfit() as misfit:
                excluded[device.id] = misfit
    return TargetPlan(meant, chosen, excluded)
