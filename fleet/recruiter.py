"""Finds the devices of a rollout: those that its query means, and what each could run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone, tzinfo
from typing import Protocol

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.devices import HeardDevice
from fleet.core.rollout.enlist import joined, local_zone, recruit
from fleet.core.rollout.model import Kind, Member, Rollout
from fleet.core.rollout.plan import Plan
from fleet.core.targeting import Candidate, parse_query
from fleet.zones import zone_of


class Release(Protocol):
    """One signed release."""

    @property
    def ref(self) -> ReleaseRef:
        """Its identity."""

    @property
    def targets(self) -> tuple[str, ...]:
        """What it was compiled for."""


class Releases(Protocol):
    """The list of releases."""

    def get(self, model: str, release: int | None) -> Release:
        """Return one release of a model, or its newest; raise UnknownReleaseError."""


class Devices(Protocol):
    """The fleet, and what it said last."""

    def heard(self, *, added_since: datetime | None = None) -> Sequence[HeardDevice]:
        """Return devices with their newest words: all, or those that were added since a moment."""


class Recruiter:
    """Makes members of devices."""

    def __init__(self, releases: Releases, devices: Devices) -> None:
        """Look at the fleet as it is now."""
        self._releases = releases
        self._devices = devices

    def release(self, model: str, release: int | None) -> Release:
        """Return one release of a model, or its newest; raise UnknownReleaseError."""
        return self._releases.get(model, release)

    def matching(self, query: str, release: Release, plan: Plan) -> list[Member]:
        """Return all devices that a query means, those that cannot run the release as cancelled; raise QueryError."""
        return _members(self._devices.heard(), query, release, plan)

    def named(self, wanted: Mapping[str, ReleaseRef | None], model: str, plan: Plan) -> list[Member]:
        """Return devices by name, each with the release it shall have; those that left the fleet are left out."""
        heard = [one for one in self._devices.heard() if one.device.id in wanted]
        return [recruit(one, wanted[one.device.id], model, _zone(one, plan)) for one in heard]

    def join(self, rollout: Rollout) -> Rollout:
        """Return the rollout with devices that were added since it began, in its last wave."""
        if rollout.kind is not Kind.START:
            return rollout
        added = [one for one in self._devices.heard(added_since=rollout.started_at) if one.device.id not in rollout.members]
        if not added:
            return rollout
        release = self._releases.get(rollout.release.model, rollout.release.release)
        return joined(rollout, _members(added, rollout.query, release, rollout.plan))


def _members(devices: Collection[HeardDevice], query: str, release: Release, plan: Plan) -> list[Member]:
    wanted = parse_query(query)
    return [_member(heard, release, plan) for heard in devices if wanted.matches(_candidate(heard))]


def _candidate(heard: HeardDevice) -> Candidate:
    return Candidate(heard.device.id, heard.device.hardware, heard.device.labels)


def _member(heard: HeardDevice, release: Release, plan: Plan) -> Member:
    member = recruit(heard, release.ref, release.ref.model, _zone(heard, plan))
    if set(heard.targets) & set(release.targets):
        return member
    compiled = ", ".join(release.targets)
    reason = f"it runs {', '.join(heard.targets)}, and the release was compiled for {compiled}"
    return replace(member, phase=Phase.CANCELLED, reason=reason)


def _zone(heard: HeardDevice, plan: Plan) -> tzinfo:
    return local_zone(heard, zone_of, zone_of(plan.zone) or timezone.utc)
