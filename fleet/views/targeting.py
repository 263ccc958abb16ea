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


class GroupDetail(GroupView):
    """A group, and who is in it now."""

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


class RolloutPreview(View):
    """What starting a rollout now would freeze, ordered by device."""

    release: ReleaseRef
    query: str
    chosen: tuple[TargetView, ...]
    excluded: tuple[ExcludedView, ...]
