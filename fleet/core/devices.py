"""What the fleet knows of a device from the operator, and which artifact targets it may run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.agent_config import DeviceSection
from contracts.messages import Birth, ModelReport, Reported


@dataclass(frozen=True)
class Device:
    """One device, as it was added."""

    id: str
    hardware: str
    labels: Mapping[str, str]
    added_at: datetime


@dataclass(frozen=True)
class HeardDevice:
    """A device, and its newest words."""

    device: Device
    birth: Birth | None
    reported: Reported | None

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the artifact targets it can run, best first: its own word, or else what its hardware implies."""
        if self.birth is not None:
            return self.birth.targets
        return DeviceSection(id=self.device.id, hardware=self.device.hardware).targets

    def report_on(self, model: str) -> ModelReport | None:
        """Return what it said last of a model."""
        return self.reported.models.get(model) if self.reported else None
