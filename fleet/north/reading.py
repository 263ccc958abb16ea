"""What the API needs of who reads the store for it: single things, and lists part by part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from contracts.lifecycle import Phase
from fleet.core.pages import Key, Part
from fleet.views.charts import HealthPoint, InferencePoint
from fleet.views.device_details import EventView, QuarantinedMessage
from fleet.views.reader import FleetReader
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import RolloutDeviceView, RolloutEntryView, RolloutSummary
from fleet.views.settings import DeviceSettings, SettingsState


class DevicePage(Protocol):
    """A JSON list of `DeviceSummary`, and after which device the next page begins; None when nothing follows."""

    @property
    def items(self) -> bytes:
        """The list."""

    @property
    def last(self) -> str | None:
        """The device."""


class DevicePages(Protocol):
    """The fleet table."""

    def following(self, after: str, limit: int) -> DevicePage:
        """Return devices ordered by id, those after `after`."""

    def named(self, ids: Sequence[str], limit: int) -> DevicePage:
        """Return the first of some devices in their order; those that are gone are left out."""


class SettingsPages(Protocol):
    """What devices are set to."""

    def page(
        self, state: SettingsState | None, limit: int, after: str, meant: Callable[[str, int], Sequence[str]] | None = None
    ) -> Part[DeviceSettings]:
        """Return devices by id, those after `after`: of all or of those that are meant, in one state or in any."""


class Reader(FleetReader, Protocol):
    """What single things are."""

    def release(self, model: str, release: int) -> ReleaseView:
        """Return one release; raise UnknownReleaseError."""

    def rollout_summary(self, rollout: int) -> RolloutSummary:
        """Return one rollout without its devices and its history; raise UnknownRolloutError."""


class Lists(Protocol):
    """What may grow, in parts: each gives at most `limit` items that follow the key `last`."""

    def events(self, device: str, limit: int, last: Key | None) -> Part[EventView]:
        """Return a device's events, newest first; raise UnknownDeviceError."""

    def health(self, device: str, minutes: int, limit: int, last: Key | None) -> Part[HealthPoint]:
        """Return a device's health points of so long, newest first; raise UnknownDeviceError."""

    def inference(self, device: str, minutes: int, limit: int, last: Key | None) -> Part[InferencePoint]:
        """Return what models did on a device for so long, newest first; raise UnknownDeviceError."""

    def quarantine(self, device: str, limit: int, last: Key | None) -> Part[QuarantinedMessage]:
        """Return messages that were not understood, of one device or for an empty name of all, newest first."""

    def releases(self, limit: int, last: Key | None) -> Part[ReleaseView]:
        """Return releases, newest first."""

    def rollouts(self, limit: int, last: Key | None) -> Part[RolloutSummary]:
        """Return rollouts, newest first."""

    def rollout_devices(self, rollout: int, phases: Collection[Phase], limit: int, last: Key | None) -> Part[RolloutDeviceView]:
        """Return a rollout's devices in the order of their turns, those in some phases or all; raise UnknownRolloutError."""

    def rollout_history(self, rollout: int, limit: int, last: Key | None) -> Part[RolloutEntryView]:
        """Return what people and the fleet did to a rollout, newest first; raise UnknownRolloutError."""
