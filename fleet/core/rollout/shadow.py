"""Decides who runs a release in shadow before it serves, and when a wave has shown enough to go on in earnest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from contracts.lifecycle import Phase
from fleet.core.rollout.model import UNDER_WAY, Errand, Member, Rollout
from fleet.core.rollout.plan import Strategy


def is_unproven(rollout: Rollout) -> bool:
    """Say whether the open wave still has to show itself in shadow."""
    return rollout.plan.strategy is Strategy.SHADOW and rollout.wave >= rollout.proven


def may_be_offered(rollout: Rollout, member: Member) -> bool:
    """Say whether a planned member may be asked now: one that runs nothing to be compared with waits until its wave is proven."""
    return not _is_first_a_shadow(rollout, member) or member.baseline is not None


def offer(rollout: Rollout, member: Member, now: datetime) -> Member:
    """Return a planned member once it was asked to run the release, in shadow or in earnest."""
    is_shadow = _is_first_a_shadow(rollout, member)
    errand = Errand.SHADOW if is_shadow else Errand.OFFER
    return replace(member, phase=Phase.OFFERED, errand=errand, offered_at=now, is_shadow=is_shadow)


def in_shadow(rollout: Rollout) -> list[Member]:
    """Return the members that run the release beside another one now."""
    return [member for member in rollout.members.values() if member.is_shadow and member.phase is Phase.SHADOW]


def is_all_in_shadow(rollout: Rollout) -> bool:
    """Say whether nobody of the open wave is on the way into the shadow any more."""
    waited_for = [member for member in rollout.members.values() if member.wave <= rollout.wave and not member.is_settled]
    return all(member.phase is Phase.SHADOW or not may_be_offered(rollout, member) for member in waited_for)


def promoted(rollout: Rollout, now: datetime) -> Rollout:
    """Offer the release in earnest to all who are in shadow though their wave is proven: those that were late come after it."""
    ready = [member for member in in_shadow(rollout) if member.wave < rollout.proven and member.errand is Errand.NONE]
    return rollout.having(
        replace(member, phase=Phase.OFFERED, errand=Errand.OFFER, offered_at=now, met_at=None, is_shadow=False) for member in ready
    )


def proven(rollout: Rollout) -> Rollout:
    """Return it once the open wave has passed its shadow."""
    return replace(rollout, proven=rollout.wave + 1, settled_at=None)


def is_free_to_leave(member: Member) -> bool:
    """Say whether a member under way runs the release for nobody, so that taking it back costs nothing."""
    return member.is_shadow and member.phase in UNDER_WAY


def _is_first_a_shadow(rollout: Rollout, member: Member) -> bool:
    return rollout.plan.strategy is Strategy.SHADOW and member.wave >= rollout.proven
