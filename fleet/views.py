"""What the fleet tells people, in the words of the REST API; CLI and dashboard show exactly these values."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import AwareDatetime, BaseModel

from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, ModelReport, ReleaseRef

RolloutState = Literal["running", "succeeded", "failed", "aborted"]


class View(BaseModel, frozen=True):
    """An answer of the API."""


class TokenView(View):
    """One API token, without its secret."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    created_at: AwareDatetime
    # None: until it is revoked.
    expires_at: AwareDatetime | None


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


class EventView(View):
    """One event of a device."""

    at: AwareDatetime
    kind: str
    severity: Literal["info", "warning", "error"]
    model: str | None
    text: str
    facts: dict[str, str]


class HealthPoint(View):
    """One point of the health charts."""

    at: AwareDatetime
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    temperature_c: float | None


class InferencePoint(View):
    """One window of one model on one device."""

    at: AwareDatetime
    model: str
    release: int
    requests_per_s: float
    errors: int
    p50_ms: float
    p95_ms: float
    classes: dict[str, int]
    provider: str


class Gap(View):
    """What never came of one session of a device; windows that were merged are no gap."""

    session: str
    # Whose windows are missing; None for messages of every kind.
    model: str | None
    # The highest number that came.
    newest: int
    # How many numbers nobody can account for, and those that are still known one by one, such as `3,7-9`.
    lost: int
    missing: str
    at: AwareDatetime


class QuarantinedMessage(View):
    """A message that was not understood."""

    device: str
    leaf: str
    at: AwareDatetime
    reason: str
    bytes: int
    # Its first bytes, as text.
    head: str


class DeviceDetail(DeviceSummary):
    """One device's page."""

    birth: Birth | None
    generation_desired: int
    generation_reported: int
    desired: dict[str, ReleaseRef]
    # Newest time that a signature vouched for on the device; None before its first verified wish.
    newest_time: AwareDatetime | None
    # Wishes it refused, by class of attack.
    refused: dict[str, int]
    events: tuple[EventView, ...]
    # Its newest sessions in which messages are missing.
    gaps: tuple[Gap, ...] = ()


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


class RolloutDeviceView(View):
    """How a rollout stands on one device."""

    device: str
    phase: Phase
    progress: float
    reason: str


class RolloutView(View):
    """One rollout: its target list was frozen at the start."""

    id: int
    release: ReleaseRef
    query: str
    state: RolloutState
    state_reason: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    # Devices by phase.
    counts: dict[Phase, int]
    devices: tuple[RolloutDeviceView, ...]


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


class FleetReader(Protocol):
    """All that the API and the dashboard read; implemented over the store, and bounded in what it returns."""

    def overview(self) -> Overview:
        """Return the fleet's numbers."""

    def devices(self, *, limit: int = 200, after: str = "") -> tuple[DeviceSummary, ...]:
        """Return devices ordered by id, those after `after`."""

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

    def rollouts(self, *, limit: int = 50) -> tuple[RolloutView, ...]:
        """Return rollouts, newest first, each with its devices."""

    def rollout(self, rollout: int) -> RolloutView:
        """Return one rollout; raise UnknownRolloutError."""
