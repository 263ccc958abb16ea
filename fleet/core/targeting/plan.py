"""Decides what a release would do to the devices a query means: who takes which artifact, and who is left out for which reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


def fits(
    query: Query, package: Package, fleet: Iterable[Inventory], now: datetime, held: Mapping[str, Package]
) -> Iterator[tuple[Inventory, Fit | Misfit]]:
    """Say of one device after the other what a release would do to it, of those that a resolved query means."""
    return ((device, fit_of(package, device, held)) for device in filter(predicate(query, now), fleet))


def plan_targets(
    query: Query, package: Package, fleet: Iterable[Inventory], now: datetime, held: Mapping[str, Package] | None = None
) -> TargetPlan:
    """Say what a release would do to the devices that a resolved query means now.

    `held` are releases that devices run, by digest; those left out make only the estimate of downloads larger.
    """
    chosen: dict[str, Fit] = {}
    excluded: dict[str, Misfit] = {}
    meant: list[Inventory] = []
    for device, found in fits(query, package, sorted(fleet, key=lambda device: device.id), now, held or {}):
        meant.append(device)
        match found:
            case Fit() as fit:
                chosen[device.id] = fit
            case Misfit() as misfit:
                excluded[device.id] = misfit
    return TargetPlan(tuple(meant), chosen, excluded)
