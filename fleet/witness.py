"""Brings a gate its evidence, and says what lost devices have in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from contracts.lifecycle import Phase
from contracts.messages import Health
from contracts.shadow import ShadowPart
from contracts.sketches import Sketch
from fleet.core.blame import Case, blame
from fleet.core.devices import HeardDevice
from fleet.core.gates.evidence import Evidence, Metric, Sums
from fleet.core.gates.latency import slow_sums
from fleet.core.gates.shadow import shadow_evidence
from fleet.core.rollout.arms import Arms, arms_of
from fleet.core.rollout.model import LOST, Member, Rollout
from fleet.core.rollout.plan import Strategy

# What a device did before the rollout tells what is usual for it.
BEFORE = timedelta(days=1)
MAX_CASES = 2000
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


class Works(Protocol):
    """What devices did."""

    def work_since(self, devices: Collection[str], model: str, manifest_sha256: str, since: datetime) -> Mapping[str, Work]:
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


class Shadows(Protocol):
    """What candidates did beside the release that serves."""

    def shadows_since(
        self, devices: Collection[str], manifest_sha256: str, since: datetime, *, with_latencies: bool
    ) -> Mapping[str, ShadowPart]:
        """Return what each of the devices told of a candidate."""


class Devices(Protocol):
    """The fleet, and what it said last."""

    def heard(self) -> Sequence[HeardDevice]:
        """Return every device with its newest words."""


class Words(Protocol):
    """The newest message of each kind of each device."""

    def bodies(self, leaf: str, devices: Sequence[str]) -> Mapping[str, str]:
        """Return the newest message of a kind of some devices."""


@dataclass(frozen=True)
class _Record:
    """What one device did."""

    errors: Sums
    latencies: Sketch
    latencies_before: Sketch


class Witness:
    """Asks the store, and only about those devices that are compared."""

    def __init__(self, works: Works, heats: Heats, shadows: Shadows, devices: Devices, words: Words) -> None:
        """Nothing is read yet."""
        self._works = works
        self._heats = heats
        self._shadows = shadows
        self._devices = devices
        self._words = words

    def evidence(self, rollout: Rollout) -> Evidence:
        """Return what is known of those that have the release, and of those to compare them with, since the first had it."""
        arms = arms_of(rollout)
        limits = rollout.plan.gate.limits if rollout.plan.gate else {}
        if rollout.plan.strategy is Strategy.SHADOW:
            return Evidence({}, {}) if arms is None else self._of_shadows(rollout, arms, with_latencies=Metric.LATENCY in limits)
        canary: dict[Metric, Sequence[Sums]] = {}
        control: dict[Metric, Sequence[Sums]] = {}
        if arms is not None and limits.keys() & {Metric.ERRORS, Metric.LATENCY}:
            ours, theirs = (self._records(rollout, devices, arms.since) for devices in (arms.canary, arms.control))
            canary[Metric.ERRORS], control[Metric.ERRORS] = [one.errors for one in ours], [one.errors for one in theirs]
            usual = (one.latencies for one in theirs)
            canary[Metric.LATENCY] = slow_sums([(one.latencies, one.latencies_before) for one in ours], usual, rollout.plan.latency_ratio)
        if arms is not None and Metric.TEMPERATURE in limits:
            span = (rollout.started_at - BEFORE, rollout.started_at)
            canary[Metric.TEMPERATURE] = self._heat(self._heats.since_outcome(rollout.id, arms.canary), span)
            control[Metric.TEMPERATURE] = self._heat(self._heats.between(arms.control, arms.since), span)
        return Evidence(canary, control)

    def _of_shadows(self, rollout: Rollout, arms: Arms, *, with_latencies: bool) -> Evidence:
        told = self._shadows.shadows_since(arms.canary, rollout.release.manifest_sha256, arms.since, with_latencies=with_latencies)
        return shadow_evidence(told.values(), rollout.plan.min_inputs, rollout.plan.latency_ratio)

    def blame(self, rollout: Rollout) -> tuple[str, ...]:
        """Return what sets the lost devices apart from those that committed, in sentences; nothing when it may as well be luck."""
        judged = [member for member in rollout.members.values() if member.phase in LOST or member.phase is Phase.COMMITTED]
        judged = judged[:MAX_CASES]
        heard = {one.device.id: one for one in self._devices.heard()} if any(one.phase in LOST for one in judged) else {}
        healths = self._words.bodies("health", [member.device for member in judged if member.device in heard])
        cases = [_case(member, heard[member.device], healths.get(member.device)) for member in judged if member.device in heard]
        return tuple(finding.sentence for finding in blame(cases))

    def _records(self, rollout: Rollout, devices: Mapping[str, str], since: datetime) -> list[_Record]:
        """Return what each device did since the comparison began, beside what it did before."""
        model = rollout.release.model
        now = self._under(devices, model, since)
        earlier = {device: found.manifest_sha256 for device in now if (found := rollout.members[device].baseline) is not None}
        before = self._under(earlier, model, rollout.started_at - BEFORE)
        # What still runs its baseline did some of it since.
        return [_record(done, before.get(device), earlier.get(device) == devices[device]) for device, done in now.items()]

    def _under(self, devices: Mapping[str, str], model: str, since: datetime) -> dict[str, Work]:
        by_manifest: defaultdict[str, list[str]] = defaultdict(list)
        for device, manifest in devices.items():
            by_manifest[manifest].append(device)
        found: dict[str, Work] = {}
        for manifest, named in by_manifest.items():
            found.update(self._works.work_since(named, model, manifest, since))
        return found

    def _heat(self, heats: Mapping[str, Heat], span: tuple[datetime, datetime]) -> list[Sums]:
        before = self._heats.between(list(heats), *span)
        return [_warmth(heat, before.get(device)) for device, heat in heats.items()]


def _record(now: Work, before: Work | None, is_same_release: bool) -> _Record:
    if before is None:
        return _Record(Sums(now.errors, now.requests), now.latencies, _EMPTY)
    errors, requests = (before.errors - now.errors, before.requests - now.requests) if is_same_release else (before.errors, before.requests)
    return _Record(Sums(now.errors, now.requests, max(0, errors), max(0, requests)), now.latencies, before.latencies)


def _warmth(now: Heat, before: Heat | None) -> Sums:
    return Sums(now.total_c, now.readings, before.total_c, before.readings) if before else Sums(now.total_c, now.readings)


def _case(member: Member, heard: HeardDevice, health: str | None) -> Case:
    facts = {"hardware": heard.device.hardware, **{f"label.{name}": value for name, value in heard.device.labels.items()}}
    if heard.birth is not None:
        machine = heard.birth.machine
        facts |= {"agent": heard.birth.agent_version, "system": machine.system, "python": machine.python}
        facts |= {f"runtime.{name}": version for name, version in heard.birth.runtimes.items()}
    readings: dict[str, float] = {}
    if health is not None and (temperature_c := Health.model_validate_json(health).temperature_c) is not None:
        readings["temperature_c"] = temperature_c
    return Case(member.device, member.phase in LOST, facts, readings)
