"""The fleet in numbers."""

from __future__ import annotations

from pydantic import Field

from fleet.views.base import View


class Overview(View):
    """The whole fleet in numbers."""

    devices: int
    online: int
    # Devices by status.
    statuses: dict[str, int]
    # Devices by running release, as "digits 1".
    releases: dict[str, int]
    rollouts_running: int
    requests_per_s: float
    # Devices by hardware.
    hardware: dict[str, int] = Field(default_factory=dict)
