"""A made-up fleet around a real conductor: devices that follow wishes in their own time, a director that may die in between."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from contracts.downlinks import ShadowWish
from contracts.lifecycle import Phase
from contracts.messages import ModelReport, Outcome, ReleaseRef
from fleet.conductor import Conductor
from fleet.core.gates.evidence import Evidence, Metric, Sums
from fleet.core.rollout.acts import ACTS, Order
from fleet.core.rollout.arms import arms_of
from fleet.core.rollout.enlist import arranged, joined
from fleet.core.rollout.history import Entry, ordered_entries
from fleet.core.rollout.model import Member, Rollout, Standing
from fleet.core.rollout.plan import Plan, Strategy
from fleet.errors import FleetError
from fleet.errors.rollouts import StaleRolloutError

MODEL = "digits"
OLD = ReleaseRef(model=MODEL, release=1, manifest_sha256="1" * 64)
NEW = ReleaseRef(model=MODEL, release=2, manifest_sha256="2" * 64)
START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
NEXT = {
    Phase.FETCHING: Phase.STAGING,
    Phase.STAGING: Phase.TESTING,
    Phase.TESTING: Phase.PROBATION,
    Phase.PROBATION: Phase.COMMITTED,
}


class DiedError(FleetError):
    """The server was killed."""


@dataclass
class Played:
    """One device."""

    generation: int = 0
    current: ReleaseRef | None = OLD
    candidate: ReleaseRef | None = None
    phase: Phase = Phase.COMMITTED
    last: Outcome | None = None
    is_online: bool = True
    is_shadow: bool = False

    @property
    def standing(self) -> Standing:
        """What it would say now."""
        report = ModelReport(phase=self.phase, current=self.current, candidate=self.candidate, last=self.last)
        return Standing(self.generation, report, self.is_online)


@dataclass
class Kept:
    """The store: what was kept outlives the server."""

    rollout: Rollout
    history: list[Entry] = field(default_factory=list)

    def open_revisions(self) -> Mapping[int, int]:
        return {} if self.rollout.ended_at else {self.rollout.id: self.rollout.revision}

    def get(self, number: int) -> Rollout:
        assert number == self.rollout.id
        return self.rollout

    def save(self, before: Rollout, after: Rollout, entries: Sequence[Entry]) -> Rollout:
        if before.revision != self.rollout.revision:
            raise StaleRolloutError(after.id, before.revision)
        self.history.extend(entries)
        self.rollout = replace(after, revision=before.revision + 1)
        return self.rollout


@dataclass
class Director:
    """Wishes outlive the server too; `dies` says when the next telling is the last: before or after it is kept."""

    wishes: dict[str, ReleaseRef | None] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    dies: str = ""
    ever_offered: set[str] = field(default_factory=set)
    # Candidates, by device.
    shadows: dict[str, ReleaseRef] = field(default_factory=dict)

    def wish_all(self, model: str, wanted: Mapping[str, ReleaseRef | None], now: datetime) -> Mapping[str, int]:
        del model, now
        if self.dies == "before":
            raise DiedError("killed")
        for device, release in wanted.items():
            if self.shadows.pop(device, None) is not None or self.wishes.get(device, OLD) != release:
                self.wishes[device] = release
                self.generations[device] = self.generations.get(device, 1) + 1
            if release == NEW:
                self.ever_offered.add(device)
        if self.dies == "after":
            raise DiedError("killed")
        return {device: self.generations.get(device, 1) for device in wanted}

    def shadow_all(self, model: str, wanted: Mapping[str, ShadowWish], now: datetime) -> Mapping[str, int]:
        del model, now
        if self.dies == "before":
            raise DiedError("killed")
        for device, shadow in wanted.items():
            if self.shadows.get(device) != shadow.release:
                self.shadows[device] = shadow.release
                self.generations[device] = self.generations.get(device, 1) + 1
        if self.dies == "after":
            raise DiedError("killed")
        return {device: self.generations.get(device, 1) for device in wanted}


class World:
    """All of it, at one moment."""

    def __init__(self, devices: int, plan: Plan, *, bad: bool = False, state: str = "running") -> None:
        """Nobody was offered anything yet; a bad release makes ten times the errors."""
        names = [f"pi-{number}" for number in range(devices)]
        members = arranged((Member(name, Phase.PLANNED, OLD, NEW) for name in names), plan, NEW.manifest_sha256)
        self.now = START
        self.bad = bad
        self.devices = {name: Played() for name in names}
        self.kept = Kept(Rollout(1, NEW, "all", plan, "anna", START, members))
        self.kept.rollout = replace(self.kept.rollout, state=type(self.kept.rollout.state)(state))
        self.director = Director()
        self.newcomers: list[Member] = []
        self._heard: dict[str, Standing] = {}
        self._fresh: set[str] = set()
        self.restart()

    @property
    def rollout(self) -> Rollout:
        """Return it as it is kept."""
        return self.kept.rollout

    def restart(self) -> None:
        """Begin again with what was kept."""
        self.director.dies = ""
        self._conductor = Conductor(self.kept, self, self.director, self, self)

    def turn(self, seconds: float = 1.0, dies: str = "") -> None:
        """Let the server take a turn, and perhaps die in it."""
        self.now += timedelta(seconds=seconds)
        self.director.dies = dies
        try:
            for _ in range(2):  # one to read what others changed
                self._conductor.turn(self.now)
        except DiedError:
            self.restart()
        self.director.dies = ""

    def order(self, act: str, actor: str = "bert") -> None:
        """Let a person act."""
        before, after = self.rollout, ACTS[act](self.rollout, Order(actor, self.now))
        self.kept.history.extend(ordered_entries(before, after, Entry(self.now, actor, act, "")))
        self.kept.rollout = replace(after, revision=self.rollout.revision + 1)

    def follow(self, name: str) -> None:
        """Let a device read its wish."""
        device = self.devices[name]
        generation = self.director.generations.get(name, 1)
        if not device.is_online or generation <= device.generation:
            return
        device.generation = generation
        shadow = self.director.shadows.get(name)
        if shadow is not None:
            device.candidate, device.phase, device.is_shadow = shadow, Phase.FETCHING, True
            return
        wish = self.director.wishes.get(name, OLD)
        if device.is_shadow and device.phase is Phase.SHADOW and wish == device.candidate:
            device.phase, device.is_shadow = Phase.PROBATION, False
            return
        device.is_shadow = False
        if wish is None:
            device.current = None
        is_there = wish == device.current
        device.candidate, device.phase = (None, Phase.COMMITTED) if is_there else (wish, Phase.FETCHING)

    def work(self, name: str, result: Phase = Phase.COMMITTED) -> None:
        """Let a device take one step with its candidate, or come to a bad end."""
        device = self.devices[name]
        if device.candidate is None or (device.phase is Phase.SHADOW and result is Phase.COMMITTED):
            return
        if device.is_shadow and device.phase is Phase.TESTING and result is Phase.COMMITTED:
            device.phase = Phase.SHADOW
            return
        device.phase = NEXT[device.phase] if result is Phase.COMMITTED else result
        if device.phase in (Phase.COMMITTED, Phase.FAILED, Phase.ROLLED_BACK, Phase.REJECTED):
            device.last = Outcome(release=device.candidate, result=device.phase, reason="why", at=self.now)
            device.current = device.candidate if device.phase is Phase.COMMITTED else device.current
            device.candidate = None

    def speak(self, name: str) -> None:
        """Let what a device says reach the server."""
        self._heard[name] = self.devices[name].standing
        self._fresh.add(name)

    def everybody(self, result: Phase = Phase.COMMITTED) -> None:
        """Let all devices that are online do all they have to do, and say so."""
        for name, device in self.devices.items():
            if device.is_online:
                self.follow(name)
                while device.candidate is not None and device.phase is not Phase.SHADOW:
                    self.work(name, result)
                self.speak(name)

    def listen(self, now: datetime) -> set[str]:
        """What the conductor hears."""
        del now
        fresh, self._fresh = self._fresh, set()
        return fresh

    def standing(self, device: str, model: str) -> Standing | None:
        """What a device said last."""
        assert model == MODEL
        return self._heard.get(device)

    def evidence(self, rollout: Rollout) -> Evidence:
        """Errors of a thousand requests a device."""
        arms = arms_of(rollout)
        if arms is None:
            return Evidence({}, {})
        if rollout.plan.strategy is Strategy.SHADOW:
            return Evidence({Metric.DISAGREEMENT: [Sums(400 if self.bad else 2, 1000) for _ in arms.canary]}, {})
        canary = [Sums((10 if self.bad else 1) * _errors_of(device), 1000) for device in arms.canary]
        return Evidence({Metric.ERRORS: canary}, {Metric.ERRORS: [Sums(_errors_of(device), 1000) for device in arms.control]})

    def blame(self, rollout: Rollout) -> Sequence[str]:
        """Nobody is blamed."""
        del rollout
        return ()

    def add(self, name: str) -> None:
        """Let a device into the fleet, that has nothing of the model."""
        self.devices[name] = Played(current=None)
        self.director.wishes[name] = None
        self.newcomers.append(Member(name, Phase.PLANNED, None, NEW))

    def join(self, rollout: Rollout, now: datetime) -> Rollout:
        """Return the rollout with those that were added."""
        del now
        return joined(rollout, self.newcomers)


def _errors_of(device: str) -> int:
    return 15 + hashlib.sha256(device.encode()).digest()[0] % 11
