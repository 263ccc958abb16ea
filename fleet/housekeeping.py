"""Sums up telemetry that grew old, and tells of it: once when it begins, then once an hour, however often it runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from fleet.acting import Acting
from fleet.core.audit import detail_of

TOLD_EVERY = timedelta(hours=1)


class Retention(Protocol):
    """Who sums up and deletes."""

    def turn(self, now: datetime) -> int:
        """Do what is due, up to a bound; return how many changes it took."""


class Log(Protocol):
    """The audit log."""

    def add(self, act: Acting) -> None:
        """Keep an act that changes nothing else."""


class RetentionRuns:
    """The runs of one server."""

    def __init__(self, retention: Retention, log: Log) -> None:
        """Nothing happens before `turn`."""
        self._retention = retention
        self._log = log
        self._changes = 0
        self._told_at: datetime | None = None

    def turn(self, now: datetime) -> None:
        """Run once."""
        self._changes += self._retention.turn(now)
        if self._changes and (self._told_at is None or now >= self._told_at + TOLD_EVERY):
            self._log.add(Acting(now, "server", "retention.run", "server", detail=detail_of({"changes": self._changes})))
            self._changes, self._told_at = 0, now
