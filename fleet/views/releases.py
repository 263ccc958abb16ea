"""What is told of releases."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from contracts.messages import ReleaseRef
from fleet.views.base import View


class ReleaseView(View):
    """One signed release."""

    ref: ReleaseRef
    targets: tuple[str, ...]
    bytes: int
    added_at: AwareDatetime
    # Worst gate verdict among the targets, and each target's drop, in the metric's own unit (0.01 is one point of top1).
    verdict: Literal["proven", "unproven", "failed"]
    drops: dict[str, float]
    running_on: int
