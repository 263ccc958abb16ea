"""In which order devices are listed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from fleet.core.inventory import Inventory
from fleet.core.status import Gist
from fleet.core.targeting.order import in_order

NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)


def device(name: str, hardware: str, silent_s: int | None, *, is_online: bool = True) -> Inventory:
    seen = None if silent_s is None else NOW - timedelta(seconds=silent_s)
    return Inventory(name, hardware, {}, (hardware,), last_seen=seen, gist=Gist(is_online=None if seen is None else is_online))


FLEET = [device("a", "rpi5", 10), device("b", "coral", None), device("c", "rpi5", 50, is_online=False), device("d", "coral", 20)]


def ids(order: str) -> str:
    return "".join(one.id for one in in_order(FLEET, order, NOW))


def test_lists_are_ordered_by_what_is_asked_for_and_else_by_name() -> None:
    assert [ids(order) for order in ("id", "-id", "hw", "-hw")] == ["abcd", "dcba", "bdac", "acbd"]


def test_those_without_a_value_come_last_in_either_direction() -> None:
    assert [ids(order) for order in ("last_seen", "-last_seen", "temperature")] == ["adcb", "cdab", "abcd"]


def test_the_most_urgent_come_first() -> None:
    assert ids("status") == "cbad"
