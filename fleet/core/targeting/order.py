"""Decides in which order devices are listed: by any field of a query, and by id where that leaves them equal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.core.inventory import Inventory
from fleet.core.targeting.fields import field_of

DOWN = "-"
# What an operator wants to see first.
URGENCY = {status: place for place, status in enumerate(("offline", "degraded", "updating", "new", "healthy"))}


def in_order(devices: Sequence[Inventory], order: str, now: datetime) -> Sequence[Inventory]:
    """Return devices, which come ordered by id, by `order`, such as `hw` or `-last_seen`; those without a value come last."""
    name, is_down = order.removeprefix(DOWN), order.startswith(DOWN)
    if name == "id":
        return devices[::-1] if is_down else devices
    read = field_of(name).read

    def key(device: Inventory) -> object:
        found = read(device, now)
        return URGENCY[str(found)] if name == "status" else found

    keyed = [(key(device), device) for device in devices]
    known = sorted((one for one in keyed if one[0] is not None), key=lambda one: one[0], reverse=is_down)  # type: ignore[arg-type, return-value]  # values of one field can be compared
    return [device for _, device in known] + [device for found, device in keyed if found is None]
