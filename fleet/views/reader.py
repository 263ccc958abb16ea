"""What the dashboard reads."""

from __future__ import annotations

from typing import Protocol

from contracts.lifecycle import Phase
from fleet.views.charts import HealthPoint, InferencePoint
from fleet.views.device_details import DeviceDetail, QuarantinedMessage
from fleet.views.devices import DeviceSummary
from fleet.views.overview import Overview
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import DeviceRolloutView, RolloutDeviceView, RolloutView


class FleetReader(Protocol):
    """All that the API and the dashboard read; implemented over the store, and bounded in what it returns."""

    def overview(self) -> Overview:
        """Return the fleet's numbers."""

    def devices(self, *, limit: int = 200, after: str = "") -> tuple[DeviceSummary, ...]:
        """Return devices ordered by id, those after `after`."""

    def named(self, ids: tuple[str, ...]) -> tuple[DeviceSummary, ...]:
        """Return devices by id, ordered by it; those that are gone are left out."""

    def device(self, device: str) -> DeviceDetail:
        """Return one device; raise UnknownDeviceError."""

    def health(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[HealthPoint, ...]:
        """Return a device's newest health points, oldest first."""

    def inference(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[InferencePoint, ...]:
        """Return a device's newest windows, oldest first."""

    def quarantine(self, *, device: str = "", limit: int = 100) -> tuple[QuarantinedMessage, ...]:
        """Return the newest messages that were not understood, of one device or of all."""

    def releases(self) -> tuple[ReleaseView, ...]:
        """Return releases, newest first."""

    def rollouts(self, *, limit: int = 50, before: int | None = None) -> tuple[RolloutView, ...]:
        """Return rollouts without their devices, newest first, those that were begun before one."""

    def taken_part(self, device: str, *, limit: int = 20) -> tuple[DeviceRolloutView, ...]:
        """Return how the newest rollouts went on a device, newest first."""

    def rollout(self, rollout: int) -> RolloutView:
        """Return one rollout without its devices; raise UnknownRolloutError."""

    def rollout_devices(self, rollout: int, phase: Phase | None, *, start: int, limit: int) -> tuple[RolloutDeviceView, ...]:
        """Return devices of a rollout in one phase or in any, those that people want to see first, from the `start`-th on."""
