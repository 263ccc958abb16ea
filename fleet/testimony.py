"""Brings a gate its evidence: one source for each metric, asked only about those devices that are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

from contracts.messages import ReleaseRef
from contracts.shadow import ShadowPart
from contracts.sketches import Sketch
from fleet.core.gates.answers import NO_ANSWERS, Answers, pooled
from fleet.core.gates.evidence import Arm, Evidence, Metric, Sums
from fleet.core.gates.latency import slow_sums
from fleet.core.gates.shadow import shadow_evidence
from fleet.core.rollout.arms import Arms, arms_of
from fleet.core.rollout.model import Rollout
from fleet.core.rollout.plan import Strategy

# What a device did before the rollout tells what is usual for it.
BEFORE = timedelta(days=1)
_EMPTY = Sketch(steps=(), counts=())


class Work(Protocol):
    """What one device did under one release."""

    @property
    def requests(self) -> int:
        """How many."""

    @property
    def errors(self) -> int:
        """Of them."""

    @property
    def latencies(self) -> Sketch:
        """In milliseconds."""

    @property
    def answers(self) -> Answers:
        """Which classes came out on top, and with what scores."""


class Works(Protocol):
    """What devices did."""

    def work_since(
        self, devices: Collection[str], release: ReleaseRef, since: datetime, until: datetime | None = None
    ) -> Mapping[str, Work]:
        """Return the work of each of the devices that did any."""


class Heat(Protocol):
    """How warm a device was."""

    @property
    def total_c(self) -> float:
        """Degrees, summed over readings."""

    @property
    def readings(self) -> int:
        """How many."""


class Heats(Protocol):
    """How warm devices were."""

    def between(self, devices: Collection[str], since: datetime, until: datetime | None = None) -> Mapping[str, Heat]:
        """Return the temperatures of devices after a moment, and up to another."""

    def since_outcome(self, rollout: int, devices: Collection[str]) -> Mapping[str, Heat]:
        """Return the temperatures of devices of a rollout, of each since it had its outcome."""

    def at(self, moments: Mapping[str, datetime]) -> Mapping[str, float]:
        """Return how warm each device was at its moment, in degrees Celsius; those that told nothing shortly before are left out."""


class Restarts(Protocol):
    """How often workers were restarted."""

    def restarts(self, since: Mapping[str, datetime], model: str) -> Mapping[str, Sums]:
        """Return the restarts of a model's workers over the hours watched, of each device since its own moment."""


class Shadows(Protocol):
    """What candidates did beside the release that serves."""

    def shadows_since(
        self, devices: Collection[str], manifest_sha256: str, since: datetime, *, with_latencies: bool
    ) -> Mapping[str, ShadowPart]:
        """Return what each of the devices told of a candidate."""


@dataclass(frozen=True)
class Records:
    """What is kept of devices' doings."""

    works: Works
    heats: Heats
    restarts: Restarts
    shadows: Shadows


def evidence_of(records: Records, rollout: Rollout) -> Evidence:
    """Return what is known of those that have the release, and of those to compare them with, since the first had it.

    A gate is told what it limits; of a split people want to know all.
    """
    arms = arms_of(rollout)
    if arms is None:
        return Evidence({}, {})
    limits = rollout.plan.gate.limits if rollout.plan.gate else {}
    if rollout.plan.strategy is Strategy.SHADOW:
        with_latencies = Metric.LATENCY in limits
        told = records.shadows.shadows_since(list(arms.canary), rollout.release.manifest_sha256, arms.since, with_latencies=with_latencies)
        return shadow_evidence(told.values(), rollout.plan.min_inputs, rollout.plan.latency_ratio)
    wanted = [metric for metric in SOURCES if metric in limits or rollout.plan.strategy is Strategy.SPLIT]
    case = _Case(records, rollout, arms)
    found = {metric: SOURCES[metric](case) for metric in wanted}
    return Evidence({metric: sides[0] for metric, sides in found.items()}, {metric: sides[1] for metric, sides in found.items()})


@dataclass(frozen=True)
class _Done:
    """What one device did since the comparison began, and before."""

    now: Work
    before: Work | None

    @property
    def errors(self) -> Sums:
        earlier = (self.before.errors, self.before.requests) if self.before else (0, 0)
        return Sums(self.now.errors, self.now.requests, *earlier)

    @property
    def latencies(self) -> tuple[Sketch, Sketch]:
        return self.now.latencies, self.before.latencies if self.before else _EMPTY

    @property
    def answers(self) -> tuple[Answers, Answers]:
        return self.now.answers, self.before.answers if self.before else NO_ANSWERS


@dataclass
class _Case:
    """One rollout's two sides; work is read once for all metrics that ask for it."""

    records: Records
    rollout: Rollout
    arms: Arms
    span: tuple[datetime, datetime] = field(init=False)

    def __post_init__(self) -> None:
        self.span = (self.rollout.started_at - BEFORE, self.rollout.started_at)

    @cached_property
    def canary(self) -> list[_Done]:
        return self._done(self.arms.canary)

    @cached_property
    def control(self) -> list[_Done]:
        return self._done(self.arms.control)

    def _done(self, devices: Mapping[str, ReleaseRef]) -> list[_Done]:
        now = self._under(devices, self.arms.since)
        baselines = {device: found for device in now if (found := self.rollout.members[device].baseline) is not None}
        before = self._under(baselines, self.rollout.started_at - BEFORE, self.arms.since)
        return [_Done(work, before.get(device)) for device, work in now.items()]

    def _under(self, devices: Mapping[str, ReleaseRef], since: datetime, until: datetime | None = None) -> dict[str, Work]:
        by_release: defaultdict[ReleaseRef, list[str]] = defaultdict(list)
        for device, release in devices.items():
            by_release[release].append(device)
        found: dict[str, Work] = {}
        for release, named in by_release.items():
            found.update(self.records.works.work_since(named, release, since, until))
        return found


# Canary and control of one metric.
Sides = tuple[Arm, Arm]


def _errors(case: _Case) -> Sides:
    return [one.errors for one in case.canary], [one.errors for one in case.control]


def _latency(case: _Case) -> Sides:
    ratio = case.rollout.plan.latency_ratio
    usual = [one.now.latencies for one in case.control]
    ours, theirs = (slow_sums([one.latencies for one in side], usual, ratio) for side in (case.canary, case.control))
    return ours, theirs


def _drift(case: _Case) -> Sides:
    from fleet.core.gates.drift import drift_sums  # arrays are loaded once somebody asks for drift

    usual = pooled([one.now.answers for one in case.control])
    ours, theirs = (drift_sums([one.answers for one in side], usual) for side in (case.canary, case.control))
    return ours, theirs


def _temperature(case: _Case) -> Sides:
    heats, canary = case.records.heats, list(case.arms.canary)
    control = heats.between(list(case.arms.control), case.arms.since)
    return _warmth(case, heats.since_outcome(case.rollout.id, canary)), _warmth(case, control)


def _warmth(case: _Case, heats: Mapping[str, Heat]) -> list[Sums]:
    before = case.records.heats.between(list(heats), *case.span)
    return [
        Sums(heat.total_c, heat.readings, *((earlier.total_c, earlier.readings) if (earlier := before.get(device)) else ()))
        for device, heat in heats.items()
    ]


def _restarts(case: _Case) -> Sides:
    return _restarted(case, case.arms.canary), _restarted(case, case.arms.control)


def _restarted(case: _Case, devices: Iterable[str]) -> list[Sums]:
    since = {device: case.rollout.members[device].outcome_at or case.arms.since for device in devices}
    return list(case.records.restarts.restarts(since, case.rollout.release.model).values())


# Where each metric comes from; those that are missing here no device reports yet.
SOURCES: Mapping[Metric, Callable[[_Case], Sides]] = {
    Metric.ERRORS: _errors,
    Metric.LATENCY: _latency,
    Metric.RESTARTS: _restarts,
    Metric.TEMPERATURE: _temperature,
    Metric.DRIFT: _drift,
}
