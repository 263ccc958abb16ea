"""Decides what people may do to a rollout, and what it does to the devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.lifecycle import Phase
from fleet.core.rollout.model import LOST, UNDER_WAY, Errand, Member, Rollout, State
from fleet.core.rollout.shadow import is_free_to_leave, is_unproven, proven
from fleet.errors.rollouts import ApprovalError, RolloutStateError

# Phases that cost the device nothing yet: an abort lets the others finish.
NOT_YET_STAGING = frozenset({Phase.PLANNED, Phase.OFFERED, Phase.FETCHING})


@dataclass(frozen=True)
class Order:
    """Who asks for it, by the name of a token, and when."""

    actor: str
    at: datetime


Act = Callable[[Rollout, Order], Rollout]


def approve(rollout: Rollout, order: Order) -> Rollout:
    """Let it begin; raise ApprovalError for whoever started it."""
    _expect(rollout, "approved", State.WAITING)
    if order.actor == rollout.started_by:
        raise ApprovalError(rollout.id, order.actor)
    return replace(rollout, state=State.RUNNING, state_reason=f"approved by {order.actor}")


def pause(rollout: Rollout, order: Order) -> Rollout:
    """Offer nothing more; who was offered the release goes on."""
    _expect(rollout, "paused", State.RUNNING)
    return replace(rollout, state=State.PAUSED, state_reason=f"by {order.actor}")


def resume(rollout: Rollout, order: Order) -> Rollout:
    """Go on; a gate that was waited for has all its patience again."""
    _expect(rollout, "resumed", State.PAUSED)
    return replace(rollout, state=State.RUNNING, state_reason=f"resumed by {order.actor}", settled_at=None)


def promote(rollout: Rollout, order: Order) -> Rollout:
    """Open the next wave, whatever the gate lacks; raise RolloutStateError while the open one is not settled, or is the last.

    A wave in shadow goes on in earnest instead.
    """
    _expect(rollout, "promoted", State.RUNNING, State.PAUSED)
    if is_unproven(rollout):
        return replace(proven(rollout), state=State.RUNNING, state_reason=f"promoted by {order.actor}")
    unsettled = sum(not member.is_settled for member in rollout.members.values() if member.wave <= rollout.wave)
    if unsettled:
        raise RolloutStateError(rollout.id, "a wave whose devices have an outcome", f"{unsettled} without one")
    if rollout.wave >= rollout.last_wave:
        raise RolloutStateError(rollout.id, "another wave", "that the last is open")
    reason = f"promoted by {order.actor}"
    return replace(rollout, state=State.RUNNING, state_reason=reason, wave=rollout.wave + 1, settled_at=None, verdict=None)


def abort(rollout: Rollout, order: Order) -> Rollout:
    """Withdraw it from those that have not begun to stage it; the others finish, and keep what they have."""
    _expect(rollout, "aborted", State.WAITING, State.RUNNING, State.PAUSED)
    reason = f"aborted by {order.actor}"
    taken_back = [member for member in rollout.members.values() if member.phase in NOT_YET_STAGING or is_free_to_leave(member)]
    changed = [_withdrawn(member, reason, order.at) for member in taken_back]
    return replace(rollout.having(changed), state=State.ABORTED, state_reason=f"by {order.actor}")


def stopped(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    """Withdraw it at once from everybody who has no outcome, and by the plan's choice from those that committed."""
    taken_back = UNDER_WAY | {Phase.PLANNED} | ({Phase.COMMITTED} if rollout.plan.takes_back else frozenset())
    why = "taken back: the rollout was stopped"
    changed = [_withdrawn(member, why, now) for member in rollout.members.values() if member.phase in taken_back]
    return replace(rollout.having(changed), state=State.FAILED, state_reason=reason)


def without(rollout: Rollout, device: str, order: Order) -> Rollout:
    """Wait no longer for a device that was removed, nor count it; what had come of it by then stays true."""
    member = rollout.members[device]
    if member.phase in LOST or member.phase is Phase.COMMITTED:
        return rollout.having([replace(member, errand=Errand.NONE)])
    reason = f"removed from the fleet by {order.actor}"
    cancelled = replace(member, phase=Phase.CANCELLED, reason=reason, errand=Errand.NONE, outcome_at=order.at, is_missing=False)
    return rollout.having([cancelled])


ACTS: Mapping[str, Act] = {"approve": approve, "pause": pause, "resume": resume, "promote": promote, "abort": abort}


def _withdrawn(member: Member, reason: str, now: datetime) -> Member:
    # The director knows nothing of one who was never offered anything.
    errand = Errand.NONE if member.phase is Phase.PLANNED else Errand.RETURN
    return replace(member, phase=Phase.CANCELLED, reason=reason, errand=errand, outcome_at=now, is_missing=False, is_shadow=False)


def _expect(rollout: Rollout, done: str, *states: State) -> None:
    if rollout.state not in states or rollout.ended_at is not None:
        expected = " or ".join(state.value for state in states)
        raise RolloutStateError(rollout.id, f"one that is {expected}, to be {done}", rollout.state.value)
