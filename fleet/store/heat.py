"""Answers how warm devices were: sums of their temperatures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select

from fleet.store.database import Database
from fleet.store.tables import health_points, rollout_devices

# A reading tells of a moment so long after it, and moments are asked for by so many at once.
SHORTLY = timedelta(minutes=10)
MOMENTS = 100


@dataclass(frozen=True)
class Heat:
    """What one device measured: degrees Celsius summed over readings."""

    total_c: float
    readings: int


class HeatStore:
    """Reads health for those who judge releases."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def between(self, devices: Collection[str], since: datetime, until: datetime | None = None) -> dict[str, Heat]:
        """Return the temperatures of devices after a moment, and up to another."""
        point = health_points.c
        query = select(point.device, func.sum(point.temperature_c), func.count(point.temperature_c)).group_by(point.device)
        query = query.where(point.device.in_(list(devices)), point.at > since, point.temperature_c.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(query if until is None else query.where(point.at <= until))
            return {device: Heat(total_c, readings) for device, total_c, readings in rows}

    def since_outcome(self, rollout: int, devices: Collection[str]) -> dict[str, Heat]:
        """Return the temperatures of devices of a rollout, of each since it had its outcome."""
        point, member = health_points.c, rollout_devices.c
        query = (
            select(point.device, func.sum(point.temperature_c), func.count(point.temperature_c))
            .join(rollout_devices, member.device == point.device)
            .where(member.rollout == rollout, point.device.in_(list(devices)))
            .where(point.at > member.outcome_at, point.temperature_c.is_not(None))
            .group_by(point.device)
        )
        with self._database.reading() as connection:
            return {device: Heat(total_c, readings) for device, total_c, readings in connection.execute(query)}

    def at(self, moments: Mapping[str, datetime]) -> dict[str, float]:
        """Return the last temperature that each device told before its moment; those that told none shortly before are left out."""
        point, named = health_points.c, list(moments.items())
        found: dict[str, float] = {}
        with self._database.reading() as connection:
            for start in range(0, len(named), MOMENTS):
                spans = [
                    and_(point.device == device, point.at > moment - SHORTLY, point.at <= moment)
                    for device, moment in named[start : start + MOMENTS]
                ]
                told = or_(*spans) & point.temperature_c.is_not(None)
                rows = connection.execute(select(point.device, point.temperature_c).where(told).order_by(point.at))
                found.update({row.device: row.temperature_c for row in rows})
        return found
