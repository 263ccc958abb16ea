"""Finds the devices of a rollout: those that its query means, and what each could run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone, tzinfo
from typing import Protocol

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.inventory import Inventory
from fleet.core.rollout.enlist import joined, local_zone, recruit
from fleet.core.rollout.model import Kind, Member, Rollout
from fleet.core.rollout.plan import Plan
from fleet.core.targeting.plan import TargetPlan
from fleet.errors.targeting import UnknownGroupError
from fleet.zones import zone_of


class Release(Protocol):
    """One signed release."""

    @property
    def ref(self) -> ReleaseRef:
        """Its identity."""


class Releases(Protocol):
    """The list of releases."""

    def get(self, model: str, release: int | None) -> Release:
        """Return one release of a model, or its newest; raise UnknownReleaseError."""


class Targeting(Protocol):
    """The fleet, and who in it is meant."""

    def plan(self, text: str, release: ReleaseRef, now: datetime, added_since: datetime | None = None) -> TargetPlan:
        """Say what a release would do to the devices that a query means now: to all, or to those that were let in since a moment."""

    def everybody(self, now: datetime) -> Sequence[Inventory]:
        """Return every device in good standing."""


class Wishes(Protocol):
    """What the fleet wants."""

    def wanted(self, devices: Iterable[str], model: str) -> Mapping[str, ReleaseRef | None]:
        """Return which release of a model each of these devices is to run, None for none; who was never told is missing."""


class Recruiter:
    """Makes members of devices."""

    def __init__(self, releases: Releases, targeting: Targeting, wishes: Wishes) -> None:
        """Look at the fleet as it is now."""
        self._releases = releases
        self._targeting = targeting
        self._wishes = wishes

    def release(self, model: str, release: int | None) -> Release:
        """Return one release of a model, or its newest; raise UnknownReleaseError."""
        return self._releases.get(model, release)

    def matching(self, query: str, release: Release, plan: Plan, now: datetime) -> list[Member]:
        """Return all devices that a query means, those that the release does not fit as cancelled; raise QueryError."""
        return self._members(self._targeting.plan(query, release.ref, now), release.ref, plan)

    def named(self, wanted: Mapping[str, ReleaseRef | None], model: str, plan: Plan, now: datetime) -> list[Member]:
        """Return devices by name, each with the release it shall have; those that left the fleet are left out."""
        found = [device for device in self._targeting.everybody(now) if device.id in wanted]
        before = self._wishes.wanted((device.id for device in found), model)
        return [recruit(device, wanted[device.id], model, _zone(device, plan), before) for device in found]

    def join(self, rollout: Rollout, now: datetime) -> Rollout:
        """Return the rollout with devices that were let in since it began, in its last wave; a label never brings an older one in."""
        if rollout.kind is not Kind.START:
            return rollout
        try:
            targets = self._targeting.plan(rollout.query, rollout.release, now, added_since=rollout.started_at)
        except UnknownGroupError:
            return rollout  # the group was removed meanwhile, so nobody new is meant
        return joined(rollout, self._members(targets, rollout.release, rollout.plan))

    def _members(self, targets: TargetPlan, release: ReleaseRef, plan: Plan) -> list[Member]:
        before = self._wishes.wanted((device.id for device in targets.devices), release.model)
        members = [recruit(device, release, release.model, _zone(device, plan), before) for device in targets.devices]
        return [
            replace(member, phase=Phase.CANCELLED, reason=misfit.reason) if (misfit := targets.excluded.get(member.device)) else member
            for member in members
        ]


def _zone(device: Inventory, plan: Plan) -> tzinfo:
    return local_zone(device, zone_of, zone_of(plan.zone) or timezone.utc)
