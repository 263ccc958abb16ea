"""Decides how a rollout goes on: who is offered the release, how each device ended, and when the fleet withdraws."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from contracts.lifecycle import FINAL, Phase
from contracts.messages import ModelReport, ReleaseRef

# Phases in which an agent works on a release.
IN_PROGRESS = frozenset({Phase.FETCHING, Phase.STAGING, Phase.TESTING, Phase.SWITCHING, Phase.PROBATION})
LOST = frozenset({Phase.FAILED, Phase.REJECTED, Phase.ROLLED_BACK})


class State(str, Enum):
    """Where a rollout stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Member:
    """One device of a rollout, frozen at its start."""

    device: str
    phase: Phase
    # What it ran when the rollout began, to which a withdrawal returns.
    baseline: ReleaseRef | None
    reason: str = ""
    progress: float = 0.0
    # The desired document that offers the release, once there is one.
    generation: int = 0
    offered_at: datetime | None = None
    # When its newest attempt before this rollout ended: until it tries again, it goes on telling of that one.
    earlier_outcome_at: datetime | None = None


@dataclass(frozen=True)
class Rollout:
    """One release on its way to a fixed list of devices."""

    id: int
    release: ReleaseRef
    query: str
    deadline_s: float
    started_at: datetime
    members: tuple[Member, ...]
    state: State = State.RUNNING
    state_reason: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Standing:
    """What a device said last: the newest generation it verified, and how the rollout's model does on it."""

    generation: int
    model: ModelReport | None


@dataclass(frozen=True)
class Offer:
    """Wish the release for a device."""

    device: str


@dataclass(frozen=True)
class Withdraw:
    """Wish for a device what it ran before; None removes the model from its wish."""

    device: str
    baseline: ReleaseRef | None


def plan(release: ReleaseRef, members: Iterable[Member]) -> tuple[Member, ...]:
    """Put devices in an order that looks random but is the same for one release every time."""
    return tuple(sorted(members, key=lambda member: hashlib.sha256(f"{release.manifest_sha256}/{member.device}".encode()).digest()))


def offers(rollout: Rollout) -> tuple[Offer, ...]:
    """Return the offers still to be made; making one twice changes nothing."""
    return tuple(Offer(member.device) for member in rollout.members if member.phase is Phase.PLANNED)


def offered(rollout: Rollout, generations: Mapping[str, int], now: datetime) -> Rollout:
    """Note which desired document carries each device's offer."""
    members = tuple(
        replace(member, phase=Phase.OFFERED, generation=generations[member.device], offered_at=now)
        if member.device in generations
        else member
        for member in rollout.members
    )
    return replace(rollout, members=members)


def step(rollout: Rollout, standings: Mapping[str, Standing], now: datetime) -> tuple[Rollout, tuple[Withdraw, ...]]:
    """Take in what devices report; a repeated or late report changes nothing."""
    if rollout.state is not State.RUNNING:
        return rollout, ()
    members = tuple(_follow(rollout, member, standings.get(member.device), now) for member in rollout.members)
    rollout = replace(rollout, members=members)
    if any(member.phase not in FINAL for member in members):
        return rollout, ()
    lost = Counter(member.phase for member in members if member.phase in LOST)
    if not lost:
        return replace(rollout, state=State.SUCCEEDED, ended_at=now), ()
    reason = ", ".join(f"{count} {phase.value.replace('_', ' ')}" for phase, count in sorted(lost.items()))
    rollout = replace(rollout, state=State.FAILED, state_reason=reason, ended_at=now)
    return rollout, tuple(Withdraw(member.device, member.baseline) for member in members if member.phase in LOST)


def _follow(rollout: Rollout, member: Member, standing: Standing | None, now: datetime) -> Member:
    if member.phase in FINAL or member.phase is Phase.PLANNED:
        return member
    if standing is not None and standing.model is not None:
        member = _heard(rollout.release, member, standing.generation, standing.model)
    is_late = member.offered_at is not None and now - member.offered_at > timedelta(seconds=rollout.deadline_s)
    if is_late and member.phase not in FINAL:
        reason = f"no outcome within {rollout.deadline_s:g} s; it was {member.phase.value}"
        return replace(member, phase=Phase.FAILED, reason=reason)
    return member


def _heard(release: ReleaseRef, member: Member, generation: int, report: ModelReport) -> Member:
    """Infer the phase from what the device says it runs, never from a message that may have been lost."""
    if report.phase is Phase.COMMITTED and _is_same(report.current, release):
        return replace(member, phase=Phase.COMMITTED, reason="", progress=1.0)
    if generation < member.generation:
        return member  # it speaks of an older wish
    if report.phase in IN_PROGRESS and (report.candidate is None or _is_same(report.candidate, release)):
        return replace(member, phase=report.phase, reason=report.reason, progress=report.progress)
    last = report.last
    if last is None or last.at == member.earlier_outcome_at:
        return member
    if last.result in LOST | {Phase.CANCELLED} and _is_same(last.release, release):
        phase = Phase.FAILED if last.result is Phase.CANCELLED else last.result
        return replace(member, phase=phase, reason=last.reason)
    return member


def _is_same(found: ReleaseRef | None, release: ReleaseRef) -> bool:
    return found is not None and found.manifest_sha256 == release.manifest_sha256
