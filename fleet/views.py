"""What the fleet tells people, in the words of the REST API; CLI and dashboard show exactly these values."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import AwareDatetime, BaseModel

from contracts.commands import Findings, Order
from contracts.configuration import Settings
from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, ModelReport, ReleaseRef
from fleet.core.commands import Standing

RolloutState = Literal["waiting", "running", "paused", "succeeded", "failed", "aborted"]


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


class Gauges(View):
    """What is measured of a device's health."""

    cpu_percent: float
    memory_percent: float
    disk_percent: float
    temperature_c: float | None


class HealthPoint(View):
    """One point of the health charts: one message, or over a long time the means of many."""

    at: AwareDatetime
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    temperature_c: float | None
    # Seconds from `at` on that it sums up, with the lowest and highest values in them; None for one message.
    span_s: float | None = None
    lowest: Gauges | None = None
    highest: Gauges | None = None


class InferencePoint(View):
    """One window of one model on one device, or the sum of many."""

    at: AwareDatetime
    model: str
    release: int
    requests_per_s: float
    errors: int
    p50_ms: float
    p95_ms: float
    classes: dict[str, int]
    provider: str
    # Seconds from `at` on that it sums up: `p50_ms` is then the mean of the windows', `p95_ms` that of the slowest; None for one window.
    span_s: float | None = None


class ConfiguredDevice(View):
    """What a change of settings makes of one device."""

    device: str
    revision: int
    before: Settings
    after: Settings
    is_change: bool


class ConfigurationView(View):
    """What a device's agent is set to by its fleet, and how that went there."""

    revision: int
    sha256: str
    settings: Settings
    # None for a revision of which nobody knows any more who made it.
    author: str | None
    at: AwareDatetime | None
    # The device's own word; None from one that takes no settings, or was not heard since.
    reported: ModelReport | None


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
    # None while nobody has set anything.
    configuration: ConfigurationView | None = None
    # Newest time that a signature vouched for on the device; None before its first verified wish.
    newest_time: AwareDatetime | None
    # Wishes it refused, by class of attack.
    refused: dict[str, int]
    events: tuple[EventView, ...]
    # Its newest sessions in which messages are missing.
    gaps: tuple[Gap, ...] = ()


class CommandSummary(View):
    """One command to one device."""

    id: str
    device: str
    order: Order
    asker: str
    state: Standing
    reason: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    # When the device said its newest word.
    answered_at: AwareDatetime | None


class CommandView(CommandSummary):
    """A command, and what it brought; a picture is kept for a day."""

    findings: Findings | None


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
    # From 1.
    wave: int = 1
    # What it is to run; None: nothing of the model.
    target: ReleaseRef | None = None


class WaveView(View):
    """One wave: how many devices it adds, and how far it is."""

    # From 1.
    wave: int
    # How much of the fleet is reached with it, such as 10%.
    size: str
    devices: int
    offered: int
    settled: int
    is_open: bool


class MetricView(View):
    """What a gate saw of one metric: rates in the metric's own unit, None while nothing can be said."""

    metric: str
    decision: Literal["pass", "stop", "wait"]
    canary: float | None
    control: float | None
    probability_worse: float | None
    reason: str


class GateView(View):
    """What the gate of the open wave said last."""

    decision: Literal["pass", "stop", "wait"]
    reason: str
    metrics: tuple[MetricView, ...]


class ShadowView(View):
    """How a rollout is with its shadows."""

    # Of the live inputs; and how many of them a device must tell of before it counts.
    share: float
    min_inputs: int
    # Waves that have passed their shadow.
    proven: int
    # Devices that run the release beside another one now.
    devices: int
    # Share of inputs with the live release's answer, the mean of the devices that count; None before the first.
    agreement: float | None


class RolloutEntryView(View):
    """One line of a rollout's history; the actor is the name of a token, or `fleet`."""

    at: AwareDatetime
    actor: str
    act: str
    text: str


class RolloutView(View):
    """One rollout: its target list was frozen at the start."""

    id: int
    release: ReleaseRef
    query: str
    state: RolloutState
    state_reason: str
    started_at: AwareDatetime
    # None while a device may still change it.
    ended_at: AwareDatetime | None
    # Devices by phase.
    counts: dict[Phase, int]
    # Empty in a list of rollouts.
    devices: tuple[RolloutDeviceView, ...]
    strategy: Literal["all-at-once", "phased", "canary", "shadow", "split"] = "all-at-once"
    kind: Literal["start", "rollback", "retry"] = "start"
    # The rollout that a rollback or a retry follows.
    origin: int | None = None
    started_by: str = ""
    # The newest wave that was opened, from 1.
    wave: int = 1
    waves: tuple[WaveView, ...] = ()
    gate: GateView | None = None
    shadow: ShadowView | None = None
    # The newest lines, oldest first; empty in a list of rollouts.
    history: tuple[RolloutEntryView, ...] = ()


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

    def rollouts(self, *, limit: int = 50) -> tuple[RolloutView, ...]:
        """Return rollouts without their devices, newest first."""

    def rollout(self, rollout: int) -> RolloutView:
        """Return one rollout; raise UnknownRolloutError."""
