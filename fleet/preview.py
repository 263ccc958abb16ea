"""Answers what a rollout would do before it is begun: the very plan that starting it would freeze, in numbers and device by device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar

from contracts.messages import ReleaseRef
from fleet.core.fit import Fit, Misfit
from fleet.core.inventory import Inventory
from fleet.core.pages import Part, part_of
from fleet.core.targeting.parse import parse_query
from fleet.core.targeting.plan import TargetPlan
from fleet.requests.rollouts import NewRollout
from fleet.views.targeting import ArtifactPreview, ExcludedView, ObstaclePreview, RolloutPreview, TargetView

# Of each artifact and each obstacle.
MAX_EXAMPLES = 3
# Reasons that are the same for many devices are told one by one, up to so many; free room differs from device to device.
ALIKE = frozenset({"target", "runtime", "accelerator"})
MAX_REASONS = 20

Found = TypeVar("Found")
View = TypeVar("View", TargetView, ExcludedView)


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

    def following(self, text: str, release: ReleaseRef, after: str, now: datetime) -> Iterator[tuple[Inventory, Fit | Misfit]]:
        """Say the same of those that follow `after`, ordered by id, each when it is asked for."""


class Preview:
    """It changes nothing; each question raises what starting the rollout would."""

    def __init__(self, releases: Releases, targeting: Targeting) -> None:
        """Look things up there."""
        self._releases = releases
        self._targeting = targeting

    def of(self, new: NewRollout, now: datetime) -> RolloutPreview:
        """Return how many would get which artifact, and how many nothing and why."""
        release = self._releases.get(new.model, new.release).ref
        plan = self._targeting.plan(new.query, release, now)
        return RolloutPreview(
            release=release,
            query=str(parse_query(new.query)),
            chosen=len(plan.chosen),
            excluded=len(plan.excluded),
            artifacts=tuple(_artifact(target, found) for target, found in sorted(_by(plan.chosen, lambda fit: fit.target).items())),
            obstacles=obstacles_of(plan.excluded),
        )

    def chosen(self, new: NewRollout, limit: int, after: str, now: datetime) -> Part[TargetView]:
        """Return who would get which artifact, ordered by id, those after a device."""
        found = (_target(device, fit) for device, fit in self._following(new, after, now) if isinstance(fit, Fit))
        return _part(found, limit)

    def excluded(self, new: NewRollout, limit: int, after: str, now: datetime) -> Part[ExcludedView]:
        """Return who would be left out and why, ordered by id, those after a device."""
        found = (_excluded(device, misfit) for device, misfit in self._following(new, after, now) if isinstance(misfit, Misfit))
        return _part(found, limit)

    def _following(self, new: NewRollout, after: str, now: datetime) -> Iterator[tuple[Inventory, Fit | Misfit]]:
        release = self._releases.get(new.model, new.release).ref
        return self._targeting.following(new.query, release, after, now)


def _part(found: Iterator[View], limit: int) -> Part[View]:
    return part_of(list(islice(found, limit + 1)), limit, lambda view: view, lambda view: (view.device,))


def _by(found: Mapping[str, Found], kind: Callable[[Found], str]) -> dict[str, dict[str, Found]]:
    kinds: dict[str, dict[str, Found]] = {}
    for device, each in found.items():
        kinds.setdefault(kind(each), {})[device] = each
    return kinds


def _artifact(target: str, found: Mapping[str, Fit]) -> ArtifactPreview:
    downloads = [fit.download_bytes for fit in found.values()]
    return ArtifactPreview(
        target=target,
        devices=len(found),
        download_bytes=sum(downloads),
        largest_bytes=max(downloads),
        has_base=sum(fit.has_base for fit in found.values()),
        unchecked=sum(bool(fit.unknown) for fit in found.values()),
        such_as=tuple(islice(found, MAX_EXAMPLES)),
    )


def obstacles_of(excluded: Mapping[str, Misfit]) -> tuple[ObstaclePreview, ...]:
    """Return what hinders whom; reasons past `MAX_REASONS` are told by the first device's."""
    kinds: dict[tuple[str, str], dict[str, Misfit]] = {}
    for device, misfit in excluded.items():
        kind = (misfit.obstacle, misfit.reason if misfit.obstacle in ALIKE else "")
        if kind not in kinds and len(kinds) >= MAX_REASONS:
            kind = (misfit.obstacle, "")
        kinds.setdefault(kind, {})[device] = misfit
    return tuple(_obstacle(found, is_alike=bool(reason)) for (_, reason), found in sorted(kinds.items(), key=lambda kind: kind[0]))


def _obstacle(found: Mapping[str, Misfit], *, is_alike: bool) -> ObstaclePreview:
    """Tell of the devices that one thing hinders; a reason that is not everybody's says whose it is."""
    device, first = next(iter(found.items()))
    reason = first.reason if is_alike or len(found) == 1 else f"{device}: {first.reason}"
    return ObstaclePreview(obstacle=first.obstacle, devices=len(found), reason=reason, such_as=tuple(islice(found, MAX_EXAMPLES)))


def _target(device: Inventory, fit: Fit) -> TargetView:
    return TargetView(
        device=device.id,
        hardware=device.hardware,
        target=fit.target,
        download_bytes=fit.download_bytes,
        has_base=fit.has_base,
        unknown=fit.unknown,
    )


def _excluded(device: Inventory, misfit: Misfit) -> ExcludedView:
    return ExcludedView(device=device.id, hardware=device.hardware, obstacle=misfit.obstacle, reason=misfit.reason)
