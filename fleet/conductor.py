"""Carries rollouts out: starts them, follows what devices report, and lets the director offer and withdraw."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.inventory import Inventory
from fleet.core.rollout import Member, Rollout, Standing, offered, offers, plan, step
from fleet.core.targeting.parse import parse_query
from fleet.core.targeting.plan import TargetPlan
from fleet.errors import NoDevicesError


class Release(Protocol):
    """One signed release."""

    @property
    def ref(self) -> ReleaseRef:
        """Its identity."""


class Releases(Protocol):
    """The list of releases."""

    def get(self, model: str, release: int | None) -> Release:
        """Return one release of a model, or its newest; raise UnknownReleaseError."""


class Devices(Protocol):
    """The fleet, and what it said last."""

    def standings(self, ids: tuple[str, ...], model: str) -> Mapping[str, Standing]:
        """Return how one model stands on those of the devices that ever reported."""


class Targeting(Protocol):
    """Who is meant."""

    def plan(self, text: str, release: ReleaseRef, now: datetime) -> TargetPlan:
        """Say what a release would do to the devices that a query means now."""


class Rollouts(Protocol):
    """Where rollouts are kept."""

    def add(self, rollout: Rollout) -> int:
        """Keep a new rollout, return its number; raise RolloutRunningError."""

    def save(self, before: Rollout, after: Rollout) -> None:
        """Keep what changed."""

    def running(self) -> Sequence[Rollout]:
        """Return the rollouts under way."""


class Director(Protocol):
    """Who tells devices."""

    def wish(self, device: str, model: str, release: ReleaseRef | None, now: datetime) -> int:
        """Wish a release of a model, or none, and return the generation."""


class Conductor:
    """One at a time: `start` and `turn` never run together."""

    def __init__(self, releases: Releases, devices: Devices, targeting: Targeting, rollouts: Rollouts, director: Director) -> None:
        """Nothing moves before `turn`."""
        self._releases = releases
        self._devices = devices
        self._targeting = targeting
        self._rollouts = rollouts
        self._director = director
        self._lock = threading.Lock()

    def start(self, model: str, query: str, release: int | None, deadline_s: float, now: datetime) -> int:
        """Freeze the target list and return the rollout's number; raise the error that says why not."""
        wanted = parse_query(query)
        found = self._releases.get(model, release)
        targets = self._targeting.plan(query, found.ref, now)
        members = [_member(device, found, targets) for device in targets.devices]
        if not targets.chosen:
            raise NoDevicesError(query, members[0].reason if members else "the query matches no device")
        with self._lock:
            return self._rollouts.add(Rollout(0, found.ref, str(wanted), deadline_s, now, plan(found.ref, members)))

    def turn(self, now: datetime) -> None:
        """Bring every running rollout one step further.

        Effects come before their record: each may run twice, and none may be lost.
        """
        with self._lock:
            for rollout in self._rollouts.running():
                after = self._offer(rollout, now)
                ids = tuple(member.device for member in after.members)
                after, withdrawals = step(after, self._devices.standings(ids, rollout.release.model), now)
                for withdrawal in withdrawals:
                    self._director.wish(withdrawal.device, rollout.release.model, withdrawal.baseline, now)
                if after != rollout:
                    self._rollouts.save(rollout, after)

    def _offer(self, rollout: Rollout, now: datetime) -> Rollout:
        release = rollout.release
        generations = {offer.device: self._director.wish(offer.device, release.model, release, now) for offer in offers(rollout)}
        return offered(rollout, generations, now) if generations else rollout


def _member(device: Inventory, release: Release, targets: TargetPlan) -> Member:
    model = release.ref.model
    baseline = device.running.get(model)
    if device.id in targets.chosen:
        return Member(device.id, Phase.PLANNED, baseline, earlier_outcome_at=device.ended_at.get(model))
    return Member(device.id, Phase.CANCELLED, baseline, reason=targets.excluded[device.id].reason)
