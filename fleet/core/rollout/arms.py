"""Decides which devices a gate compares: those that have the release, and a fixed sample of those that do not have it yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from fleet.core.rollout.follow import is_same
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.plan import Strategy
from fleet.core.rollout.shadow import in_shadow

# More devices make the answer no surer, but slower.
MAX_DEVICES = 500


@dataclass(frozen=True)
class Arms:
    """Both sides, each device with what it runs; `since` is when the first of them had its outcome."""

    canary: dict[str, ReleaseRef]
    control: dict[str, ReleaseRef]
    since: datetime


def arms_of(rollout: Rollout) -> Arms | None:
    """Return whom to compare; None while nobody has the release."""
    if rollout.plan.strategy is Strategy.SHADOW:
        shadows = in_shadow(rollout)
        asked = [member.offered_at for member in shadows if member.offered_at is not None]
        # Each is compared with what serves on the same device.
        return Arms(_running(shadows), {}, min(asked)) if asked else None
    committed = [member for member in rollout.members.values() if member.phase is Phase.COMMITTED]
    if rollout.plan.strategy is Strategy.SPLIT:
        canary = _running(member for member in committed if is_same(member.target, rollout.release))
        control = _running(member for member in committed if not is_same(member.target, rollout.release))
    else:
        canary = _running(committed)
        # From the end of the order, so that the same devices stay until their turn comes.
        control = _before(member for member in reversed([*rollout.members.values()]) if member.phase is Phase.PLANNED)
    moments = [member.outcome_at for member in committed if member.outcome_at is not None]
    return Arms(canary, control, min(moments)) if canary and moments else None


def _running(members: Iterable[Member]) -> dict[str, ReleaseRef]:
    found = [(member.device, member.target) for member in members if member.target is not None]
    return dict(found[:MAX_DEVICES])


def _before(members: Iterable[Member]) -> dict[str, ReleaseRef]:
    found = [(member.device, member.baseline) for member in members if member.baseline is not None]
    return dict(found[:MAX_DEVICES])
