"""What is told of rollouts."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.views.base import View

RolloutState = Literal["waiting", "running", "paused", "succeeded", "failed", "aborted"]


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


class DeviceRolloutView(View):
    """How a rollout went, or goes, on one device."""

    rollout: int
    release: ReleaseRef
    kind: Literal["start", "rollback", "retry"]
    phase: Phase
    reason: str
    started_at: AwareDatetime
    # None for what was not offered yet, and for what has no outcome yet.
    offered_at: AwareDatetime | None
    outcome_at: AwareDatetime | None


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
    # Of those that are settled: who has the release, who came to a bad end, and who was never met and is no longer waited for.
    committed: int = 0
    lost: int = 0
    missing: int = 0
    # Offered, and not heard of since.
    awaited: int = 0
    # Running the release beside another one, until the gate or a person promotes it.
    in_shadow: int = 0


class MetricView(View):
    """What a gate saw of one metric: rates in the metric's own unit, None while nothing can be said."""

    metric: str
    decision: Literal["pass", "stop", "wait"]
    canary: float | None
    control: float | None
    probability_worse: float | None
    reason: str
    # Canaries that said enough to count.
    devices: int = 0
    # What a rate is, such as `restarts an hour`, and how much above the control it may be.
    unit: str = ""
    limit: float | None = None
    # Of the evidence that stopping or passing takes, the share that is there.
    toward_stop: float = 0.0
    toward_pass: float = 0.0


class ComparisonView(View):
    """How two arms differ in one metric: canary less control, or the release less its rival, in the metric's own unit."""

    metric: str
    unit: str
    canary: float
    control: float
    difference: float
    # Hold the true difference with 95 %, however often they are looked at.
    low: float
    high: float
    probability_higher: float
    canary_devices: int
    control_devices: int


class GateView(View):
    """What the gate of the open wave said last."""

    decision: Literal["pass", "stop", "wait"]
    reason: str
    metrics: tuple[MetricView, ...]
    # Of every metric that both arms tell of: all of them in a split.
    report: tuple[ComparisonView, ...] = ()


class PlanView(View):
    """What a rollout was told at its start: durations in seconds, None for what was not asked."""

    # How many devices may be lost among those reached so far, such as 5%.
    threshold: str | None
    # The limit of each metric of the gate, in the metric's own unit; how sure the gate must be before it stops, and before it passes.
    limits: dict[str, float]
    sure_to_stop: float | None
    sure_to_pass: float | None
    latency_ratio: float
    soak_s: float
    patience_s: float
    deadline_s: float
    contact_s: float
    window: str
    zone: str
    rate_per_min: int | None
    approval: bool
    newcomers: bool
    take_back: bool
    hold_s: float


class ShadowWork(View):
    """What devices told of a rollout's shadows: the newest windows, summed up; it decides nothing."""

    # Inputs that the release answered beside the live one, those with the same answer, those on which it failed, and those sampled for
    # which it had no time.
    compared: int
    agreed: int
    errors: int
    dropped: int
    # Seconds in which devices kept to the budgets of heat and CPU, all devices together.
    paused_s: float
    # Devices that told of it.
    devices: int
    # Winning score less the live release's, on average; None where models give none.
    confidence_shift: float | None
    # Milliseconds that the models took for the same inputs: medians and 95th percentiles; None before the first.
    p50_ms: float | None
    p95_ms: float | None
    live_p50_ms: float | None
    live_p95_ms: float | None


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
    # Of one core, and degrees Celsius: above them a shadow pauses; None: only while heat slows the device.
    max_cpu: float | None = None
    max_temperature_c: float | None = None
    # None in a list of rollouts, and before the first window.
    work: ShadowWork | None = None


class RolloutEntryView(View):
    """One line of a rollout's history; the actor is the name of a token, or `fleet`."""

    at: AwareDatetime
    actor: str
    act: str
    text: str


class RolloutSummary(View):
    """One rollout: its target list was frozen at the start. Its devices and its history are lists of their own."""

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
    strategy: Literal["all-at-once", "phased", "canary", "shadow", "split"] = "all-at-once"
    kind: Literal["start", "rollback", "retry"] = "start"
    # The rollout that a rollback or a retry follows.
    origin: int | None = None
    started_by: str = ""
    # The newest wave that was opened, from 1.
    wave: int = 1
    waves: tuple[WaveView, ...] = ()
    gate: GateView | None = None
    plan: PlanView | None = None
    shadow: ShadowView | None = None
    # What people decide upon: changes with state and wave, and may be named in If-Match.
    version: str = ""

    @property
    def what(self) -> str:
        """What it does, for people: a rollback brings devices back from its release."""
        name = f"{self.release.model} {self.release.release}"
        return {"start": name, "rollback": f"back from {name}", "retry": f"{name} again"}[self.kind]

    @property
    def whom(self) -> str:
        """To whom it does that, for people."""
        by_kind = {"rollback": f"on the devices of rollout {self.origin}", "retry": f"to those that rollout {self.origin} lost"}
        return by_kind.get(self.kind, f"to {self.query}")


class RolloutView(RolloutSummary):
    """A rollout in one piece."""

    # Empty in a list of rollouts, and for the dashboard, which turns the pages of a list of its own.
    devices: tuple[RolloutDeviceView, ...] = ()
    # The newest lines, oldest first; empty in a list of rollouts.
    history: tuple[RolloutEntryView, ...] = ()
