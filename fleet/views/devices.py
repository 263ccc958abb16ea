"""What is told of many devices at once."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from contracts.messages import Health, ModelReport
from fleet.views.base import View


class DeviceSummary(View):
    """One row of the fleet table."""

    id: str
    hardware: str
    labels: dict[str, str]
    online: bool
    # None until the device was heard for the first time.
    last_seen: AwareDatetime | None
    models: dict[str, ModelReport]
    health: Health | None
    # One word for people: healthy, updating, degraded, offline, new.
    status: Literal["healthy", "updating", "degraded", "offline", "new"]
    # Why it is not healthy; empty when it is.
    status_reason: str
