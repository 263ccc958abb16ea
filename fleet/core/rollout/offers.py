"""Decides who is offered the release now: those of the open waves, in order, within their hours and the rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from contracts.lifecycle import Phase
from contracts.pace import Hours
from fleet.core.rollout.model import Errand, Member, Rollout

MINUTE = timedelta(minutes=1)


def offered(rollout: Rollout, now: datetime) -> Rollout:
    """Offer the release to as many as may have it now."""
    waiting = [member for member in rollout.members.values() if member.phase is Phase.PLANNED and member.wave <= rollout.wave]
    if not waiting:
        return rollout
    waiting = list(_within_hours(waiting, rollout.plan.hours, now))
    rate = rollout.plan.rate_per_min
    if rate is not None:
        recent = sum(member.offered_at is not None and now - member.offered_at < MINUTE for member in rollout.members.values())
        waiting = waiting[: max(0, rate - recent)]
    return rollout.having(replace(member, phase=Phase.OFFERED, errand=Errand.OFFER, offered_at=now) for member in waiting)


def _within_hours(members: Iterable[Member], hours: Hours | None, now: datetime) -> Iterable[Member]:
    opens: dict[tzinfo, bool] = {}
    for member in members:
        if hours is None:
            yield member
            continue
        if member.zone not in opens:
            opens[member.zone] = hours.opens_in_s(now.astimezone(member.zone)) == 0.0
        if opens[member.zone]:
            yield member
