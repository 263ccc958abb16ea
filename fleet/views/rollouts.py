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


class MetricView(View):
    """What a gate saw of one metric: rates in the metric's own unit, None while nothing can be said."""

    metric: str
    decision: Literal["pass", "stop", "wait"]
    canary: float | None
    control: float | None
    probability_worse: float | None
    reason: str
    # How many canaries said something.
    devices: int = 0
    # How much worse it may be, and how much worse it is, with a 95 % interval.
    limit: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    # How much of the evidence for either answer there is, from 0 to 1.
    toward_pass: float = 0.0
    toward_stop: float = 0.0


class GateView(View):
    """What the gate of the open wave said last."""

    decision: Literal["pass", "stop", "wait"]
    reason: str
    metrics: tuple[MetricView, ...]


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
    strategy: Literal["all-at-once", "phased", "canary", "split"] = "all-at-once"
    kind: Literal["start", "rollback", "retry"] = "start"
    # The rollout that a rollback or a retry follows.
    origin: int | None = None
    started_by: str = ""
    # The newest wave that was opened, from 1.
    wave: int = 1
    waves: tuple[WaveView, ...] = ()
    gate: GateView | None = None
    # None in a list of rollouts.
    plan: PlanView | None = None
    # The newest lines, oldest first; empty in a list of rollouts.
    history: tuple[RolloutEntryView, ...] = ()
