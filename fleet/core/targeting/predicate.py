"""Decides whether a device is meant by a query; what it never reported is unknown, and satisfies `!=` alone."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fleet.core.inventory import Inventory
from fleet.core.targeting.fields import field_of, found_on, key_of
from fleet.core.targeting.query import And, Comparison, Everything, InGroup, Named, Not, Online, Or, Query, Running
from fleet.errors.targeting import UnknownGroupError

# So much of a digest tells releases apart, and is no model's name by chance.
MIN_DIGEST = 12
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

Predicate = Callable[[Inventory], bool]


def predicate(query: Query, now: datetime) -> Predicate:
    """Return the question that a query asks of each device; raise UnknownGroupError where groups were not put in before."""
    match query:
        case Everything():
            return lambda device: True  # noqa: ARG005 - everybody is meant
        case Comparison():
            return _comparison(query, now)
        case Online():
            return lambda device: device.status(now) not in ("offline", "new")
        case Running(what):
            return _running(what)
        case Named(ids):
            return lambda device: device.id in ids
        case Not(inner):
            meant = predicate(inner, now)
            return lambda device: not meant(device)
        case And(parts):
            wanted = [predicate(part, now) for part in parts]
            return lambda device: all(one(device) for one in wanted)
        case Or(parts):
            wanted = [predicate(part, now) for part in parts]
            return lambda device: any(one(device) for one in wanted)
        case InGroup(name):
            raise UnknownGroupError(name)


def _comparison(comparison: Comparison, now: datetime) -> Predicate:
    field, value = field_of(comparison.field), comparison.values[0]
    if comparison.operator == "in":
        keys = frozenset(map(key_of, comparison.values))
        return lambda device: (found := found_on(field, device, now, value)) is not None and found in keys
    key, is_in_order = key_of(value), _ORDERS[comparison.operator]
    is_met_by_unknown = comparison.operator == "!="

    def is_meant(device: Inventory) -> bool:
        found = found_on(field, device, now, value)
        return is_met_by_unknown if found is None else is_in_order(found, key)

    return is_meant


def _running(what: str) -> Predicate:
    def is_meant(device: Inventory) -> bool:
        return any(
            what in (release.model, f"{release.model} {release.release}")
            or (len(what) >= MIN_DIGEST and release.manifest_sha256.startswith(what))
            for release in device.running.values()
        )

    return is_meant
