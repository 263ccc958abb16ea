"""What the fleet knows of a device from the operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

# How a device that is played is told from a real one.
SIMULATED: Mapping[str, str] = {"simulated": "yes"}


@dataclass(frozen=True)
class Device:
    """One device, as it was added."""

    id: str
    hardware: str
    labels: Mapping[str, str]
    added_at: datetime
