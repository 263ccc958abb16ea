"""Answers whom a query means now, and what a release would do to them, from what the fleet said last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from contracts.messages import ReleaseRef
from fleet.core.fit import Package
from fleet.core.inventory import Inventory
from fleet.core.targeting.groups import resolve
from fleet.core.targeting.parse import parse_query
from fleet.core.targeting.plan import TargetPlan, plan_targets


class Devices(Protocol):
    """The fleet."""

    def inventories(self, now: datetime, max_age: timedelta = timedelta(0)) -> Sequence[Inventory]:
        """Return every device in good standing, ordered by id, as it was told at most `max_age` ago."""


class Packages(Protocol):
    """What releases ask of devices."""

    def of(self, release: ReleaseRef) -> Package | None:
        """Return a release's needs; None when its manifest is not here."""

    def get(self, release: ReleaseRef) -> Package:
        """Return a release's needs; raise UnknownArtifactError."""


class Targeting:
    """Shows before anything acts."""

    def __init__(self, devices: Devices, packages: Packages) -> None:
        """Look things up there."""
        self._devices = devices
        self._packages = packages

    def plan(self, text: str, release: ReleaseRef, now: datetime) -> TargetPlan:
        """Say what a release would do to the devices that a query means now; raise QueryError or UnknownGroupError."""
        query = resolve(parse_query(text), {})
        fleet = self._devices.inventories(now)
        running = {ref.manifest_sha256: ref for device in fleet if (ref := device.running.get(release.model)) is not None}
        known = {digest: self._packages.of(ref) for digest, ref in running.items()}
        held = {digest: package for digest, package in known.items() if package is not None}
        return plan_targets(query, self._packages.get(release), fleet, now, held)
