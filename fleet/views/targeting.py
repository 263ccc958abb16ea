"""What is told of groups, labels, and of whom a rollout would reach."""

from __future__ import annotations

from typing import Literal

from contracts.messages import ReleaseRef
from fleet.views.base import View


class GroupView(View):
    """One group: of a list of devices, or of whoever a query means."""

    name: str
    query: str | None
    devices: int
    version: str


class GroupMember(View):
    """A device that is in a group now."""

    device: str


class GroupDetail(GroupView):
    """A group in one piece."""

    members: tuple[str, ...]


class LabelledView(View):
    """Which devices' labels are others than before."""

    changed: tuple[str, ...]


class TargetView(View):
    """A device that a rollout would reach."""

    device: str
    hardware: str
    # Which of the release's artifacts it would take.
    target: str
    # Without files that it holds; deltas make it less.
    download_bytes: int
    has_base: bool
    # What could not be checked, because it never reported it.
    unknown: tuple[Literal["runtime", "disk", "memory"], ...]


class ExcludedView(View):
    """A device that a rollout would leave out."""

    device: str
    hardware: str
    obstacle: Literal["target", "runtime", "accelerator", "disk", "memory"]
    reason: str


class ArtifactPreview(View):
    """What one of a release's artifacts would reach."""

    target: str
    devices: int
    # Of all of them together, and of the one that lacks most.
    download_bytes: int
    largest_bytes: int
    has_base: int
    # Of how many something could not be checked.
    unchecked: int
    # The first few.
    such_as: tuple[str, ...]


class ObstaclePreview(View):
    """Whom one obstacle would keep out; the reason is the first one's."""

    obstacle: Literal["target", "runtime", "accelerator", "disk", "memory"]
    devices: int
    reason: str
    such_as: tuple[str, ...]


class RolloutPreview(View):
    """What starting a rollout now would freeze, in numbers; who it is, is told by lists of their own."""

    release: ReleaseRef
    query: str
    chosen: int
    excluded: int
    # Ordered by target, and by obstacle.
    artifacts: tuple[ArtifactPreview, ...]
    obstacles: tuple[ObstaclePreview, ...]


class WholePreview(View):
    """The same in one piece, ordered by device."""

    release: ReleaseRef
    query: str
    chosen: tuple[TargetView, ...]
    excluded: tuple[ExcludedView, ...]
