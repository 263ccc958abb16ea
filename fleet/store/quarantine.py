"""Keeps the newest messages that made no sense, bounded for each device and in all, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, delete, func, insert, select

from fleet.core.freshness import Refused
from fleet.store.tables import quarantine
from fleet.views.device_details import QuarantinedMessage

MAX_KEPT = 1000
MAX_KEPT_OF_DEVICE = 20
MAX_REASON_CHARS = 500


def add_refused(connection: Connection, refused: Sequence[Refused]) -> None:
    """Set messages aside, and forget the oldest of too many."""
    by_device: dict[str, list[Refused]] = {}
    for each in refused:
        by_device.setdefault(each.device, []).append(each)
    for device, all_of_it in by_device.items():
        newest = all_of_it[-MAX_KEPT_OF_DEVICE:]
        connection.execute(insert(quarantine), [_values(each) for each in newest])
        kept = select(quarantine.c.id).where(quarantine.c.device == device).order_by(quarantine.c.id.desc()).limit(MAX_KEPT_OF_DEVICE)
        connection.execute(delete(quarantine).where(quarantine.c.device == device, quarantine.c.id.not_in(kept)))
    if by_device:
        last = connection.execute(select(func.max(quarantine.c.id))).scalar_one()
        connection.execute(delete(quarantine).where(quarantine.c.id <= last - MAX_KEPT))


def read_quarantine(connection: Connection, device: str, limit: int, before: int | None = None) -> Sequence[Row[tuple[object, ...]]]:
    """Return messages of one device, or of all for an empty name, newest first, those before a number."""
    query = select(quarantine).order_by(quarantine.c.id.desc()).limit(limit)
    if device:
        query = query.where(quarantine.c.device == device)
    return connection.execute(query if before is None else query.where(quarantine.c.id < before)).all()


def message_view(row: Row[tuple[object, ...]]) -> QuarantinedMessage:
    """Return one of them in the words of the API."""
    return QuarantinedMessage(
        id=row.id,
        device=row.device,
        leaf=row.leaf,
        at=row.at,
        reason=row.reason,
        bytes=row.bytes,
        head=row.head.decode("utf-8", "backslashreplace"),
    )


def _values(refused: Refused) -> dict[str, object]:
    return {
        "device": refused.device,
        "leaf": refused.leaf,
        "at": refused.received_at,
        "reason": refused.reason[:MAX_REASON_CHARS],
        "bytes": refused.size,
        "head": refused.head,
    }
