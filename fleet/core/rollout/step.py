"""Decides how a rollout goes on: follows its devices, stops it, opens its waves, offers, and ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from contracts.lifecycle import FINAL, Phase
from fleet.core.gates.evidence import Evidence
from fleet.core.gates.verdict import Decision
from fleet.core.rollout.acts import stopped
from fleet.core.rollout.follow import heard, waited
from fleet.core.rollout.model import LOST, UNDER_WAY, Errand, Member, Rollout, Standing, State
from fleet.core.rollout.offers import offered
from fleet.core.rollout.plan import Strategy
from fleet.core.rollout.shadow import is_all_in_shadow, is_unproven, promoted, proven


@dataclass(frozen=True)
class News:
    """What was learnt since the last step."""

    # Of the devices that said something.
    standings: Mapping[str, Standing] = field(default_factory=dict)
    # What the gate may judge by; None while nobody looked.
    evidence: Evidence | None = None


def step(rollout: Rollout, news: News, now: datetime) -> Rollout:
    """Return the rollout as it goes on; its errands are what must be done to make that true.

    The same rollout is returned where nothing changed. A second call with the same news changes nothing.
    """
    if rollout.ended_at is not None or rollout.state is State.WAITING:
        return rollout
    rollout = _assessed(_followed(rollout, news, now), news)
    if rollout.state in (State.RUNNING, State.PAUSED):
        rollout = _stopped_if_bad(rollout, now)
    if rollout.state is State.RUNNING:
        rollout = promoted(offered(_opened(_proven(rollout, now), now), now), now)
    return _ended(rollout, now)


def is_gated(rollout: Rollout) -> bool:
    """Say whether evidence is wanted: there are devices on either side to compare."""
    has_sides = rollout.plan.strategy is Strategy.SPLIT or rollout.wave < rollout.last_wave
    if rollout.plan.strategy is Strategy.SHADOW:
        has_sides = is_unproven(rollout)
    return rollout.plan.gate is not None and has_sides and rollout.state in (State.RUNNING, State.PAUSED)


def _followed(rollout: Rollout, news: News, now: datetime) -> Rollout:
    changed: dict[str, Member] = {}
    for device, standing in news.standings.items():
        before = rollout.members.get(device)
        if before is not None and (after := heard(before, standing, now)) is not before:
            changed[device] = after
    for device, member in rollout.members.items():
        if member.phase in UNDER_WAY:
            met = changed.get(device, member)
            if (after := waited(met, rollout.plan, now)) is not met:
                changed[device] = after
    return rollout.having(changed.values())


def _assessed(rollout: Rollout, news: News) -> Rollout:
    if news.evidence is None or rollout.plan.gate is None or not is_gated(rollout):
        return rollout
    from fleet.core.gates.gate import assess, compared  # a fleet without gates never loads what reckons

    verdict = replace(assess(rollout.plan.gate, news.evidence), report=compared(news.evidence))
    return rollout if verdict == rollout.verdict else replace(rollout, verdict=verdict)


def _stopped_if_bad(rollout: Rollout, now: datetime) -> Rollout:
    verdict = rollout.verdict
    if rollout.plan.strategy is not Strategy.SPLIT and verdict is not None and verdict.decision is Decision.STOP:
        return stopped(rollout, f"gate: {verdict.reason}", now)
    lost = rollout.lost()
    if rollout.plan.threshold is None or not lost:
        return rollout
    reached = sum(member.wave <= rollout.wave and not member.is_missing for member in _chosen(rollout))
    allowed = rollout.plan.threshold.of(reached)
    if lost.total() <= allowed:
        return rollout
    return stopped(rollout, f"{told_of(rollout)}: expected at most {allowed} of {reached} lost", now)


def _proven(rollout: Rollout, now: datetime) -> Rollout:
    """Note when all of the open wave run the release in shadow, and when they have shown enough."""
    if not is_unproven(rollout):
        return rollout
    if not is_all_in_shadow(rollout):
        return rollout if rollout.settled_at is None else replace(rollout, settled_at=None)
    if rollout.settled_at is None:
        rollout = replace(rollout, settled_at=now)
    rollout, may_go_on = _gate(rollout, now)
    return proven(rollout) if may_go_on else rollout


def _opened(rollout: Rollout, now: datetime) -> Rollout:
    """Note when the open wave is settled, and open the next one when it may be."""
    while not is_unproven(rollout):
        is_settled = all(member.is_settled for member in rollout.members.values() if member.wave <= rollout.wave)
        if not is_settled:
            return rollout if rollout.settled_at is None else replace(rollout, settled_at=None)
        if rollout.settled_at is None:
            rollout = replace(rollout, settled_at=now)
        if rollout.wave >= rollout.last_wave:
            return rollout
        rollout, may_open = _gate(rollout, now)
        if not may_open:
            return rollout
        rollout = replace(rollout, wave=rollout.wave + 1, settled_at=None, verdict=None)
    return rollout


def _gate(rollout: Rollout, now: datetime) -> tuple[Rollout, bool]:
    assert rollout.settled_at is not None  # the caller just noted it
    waited_for = now - rollout.settled_at
    if waited_for < timedelta(seconds=rollout.plan.soak_s):
        return rollout, False
    was_proven = rollout.plan.strategy is Strategy.SHADOW and not is_unproven(rollout)
    if was_proven or rollout.plan.gate is None or (rollout.verdict is not None and rollout.verdict.decision is Decision.PASS):
        return rollout, True
    if waited_for < timedelta(seconds=rollout.plan.soak_s + rollout.plan.patience_s):
        return rollout, False
    said = rollout.verdict.reason if rollout.verdict else "no evidence"
    reason = f"gate: no answer within {rollout.plan.patience_s:g} s: {said}"
    return replace(rollout, state=State.PAUSED, state_reason=reason), False


def _ended(rollout: Rollout, now: datetime) -> Rollout:
    """End it when nothing is waited for and the director knows all; its state says how it went."""
    members = rollout.members.values()
    if any(not member.is_settled or member.errand is not Errand.NONE for member in members):
        return rollout
    if rollout.state in (State.FAILED, State.ABORTED):
        return replace(rollout, ended_at=now)
    if not _is_watched(rollout, now):
        return rollout
    lost = rollout.lost().total()
    is_good = any(member.phase is Phase.COMMITTED for member in members) and (not lost or rollout.plan.threshold is not None)
    reason = told_of(rollout)
    if rollout.plan.strategy is Strategy.SPLIT and rollout.verdict is not None:
        reason = "; ".join(filter(None, (rollout.verdict.reason, reason)))
    return replace(rollout, state=State.SUCCEEDED if is_good else State.FAILED, state_reason=reason, ended_at=now)


def _is_watched(rollout: Rollout, now: datetime) -> bool:
    """Say whether the last wave was watched as long as any, and two halves as long as was asked."""
    wanted_s = rollout.plan.soak_s + (rollout.plan.hold_s if rollout.plan.strategy is Strategy.SPLIT else 0.0)
    return wanted_s == 0 or (rollout.settled_at is not None and now - rollout.settled_at >= timedelta(seconds=wanted_s))


def told_of(rollout: Rollout) -> str:
    """Say who did not come through, for people."""
    parts = [f"{count} {phase.value.replace('_', ' ')}" for phase, count in sorted(rollout.lost().items())]
    missing = sum(member.is_missing for member in rollout.members.values())
    if missing:
        parts.append(f"{missing} waiting for contact")
    return ", ".join(parts)


def _chosen(rollout: Rollout) -> list[Member]:
    """Return the members who were ever to be offered anything."""
    return [member for member in rollout.members.values() if member.phase not in FINAL or member.phase in LOST | {Phase.COMMITTED}]
