"""Answers what a rollout would do before it is begun: the very plan that starting it would freeze."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from contracts.messages import ReleaseRef
from fleet.core.targeting.parse import parse_query
from fleet.core.targeting.plan import TargetPlan
from fleet.requests import NewRollout
from fleet.views import ExcludedView, RolloutPreview, TargetView


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
    """Who is meant."""

    def plan(self, text: str, release: ReleaseRef, now: datetime) -> TargetPlan:
        """Say what a release would do to the devices that a query means now."""


class Preview:
    """It changes nothing."""

    def __init__(self, releases: Releases, targeting: Targeting) -> None:
        """Look things up there."""
        self._releases = releases
        self._targeting = targeting

    def of(self, new: NewRollout, now: datetime) -> RolloutPreview:
        """Return who would get which artifact, and who nothing and why; raise what starting it would."""
        release = self._releases.get(new.model, new.release).ref
        plan = self._targeting.plan(new.query, release, now)
        hardware = {device.id: device.hardware for device in plan.devices}
        chosen = tuple(
            TargetView(
                device=device,
                hardware=hardware[device],
                target=fit.target,
                download_bytes=fit.download_bytes,
                has_base=fit.has_base,
                unknown=fit.unknown,
            )
            for device, fit in plan.chosen.items()
        )
        excluded = tuple(
            ExcludedView(device=device, hardware=hardware[device], obstacle=misfit.obstacle, reason=misfit.reason)
            for device, misfit in plan.excluded.items()
        )
        return RolloutPreview(release=release, query=str(parse_query(new.query)), chosen=chosen, excluded=excluded)
