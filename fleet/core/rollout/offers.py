"""Decides who is offered the release now: those of the open waves, in order, within their hours and the rate."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo

from contracts.lifecycle import Phase
from contracts.pace import Hours
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.shadow import may_be_offered, offer

MINUTE = timedelta(minutes=1)


def offered(rollout: Rollout, now: datetime) -> Rollout:
    """Offer the release to as many as may have it now."""
    planned = [member for member in rollout.members.values() if member.phase is Phase.PLANNED and member.wave <= rollout.wave]
    waiting = [member for member in planned if may_be_offered(rollout, member)]
    if not waiting:
        return rollout
    waiting = list(_within_hours(waiting, rollout.plan.hours, now))
    rate = rollout.plan.rate_per_min
    if rate is not None:
        recent = sum(member.offered_at is not None and now - member.offered_at < MINUTE for member in rollout.members.values())
        waiting = waiting[: max(0, rate - recent)]
    return rollout.having(offer(rollout, member, now) for member in waiting)


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
