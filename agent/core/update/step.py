"""Decides what happens next to one model's release: a pure machine over the phases of contracts/lifecycle.py.

A release that FAILED (link, disk, time) and is still wished is tried again: by the device itself after the pauses of `waiting`, and
whenever a later document of the fleet names it. One that was REJECTED or ROLLED_BACK, or in whose midst the agent died again and again,
is tried again only after the fleet wished something else.

A release counter only ever grows, save for the way back: the fleet may wish the previous release, which this device has committed before
and still holds, and which is tested and watched like any other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from agent.core.update.events import (
    Crashed,
    Damaged,
    Disproved,
    Do,
    Done,
    Effect,
    Event,
    Failed,
    Progressed,
    Steady,
    Unsuitable,
    Waited,
    Wished,
)
from agent.core.update.shadow import on_other_terms, shadowed_s, starts_over
from agent.core.update.state import MAX_ATTEMPTS, MAX_CRASHES, MAX_STRIKES, Update, is_same
from agent.core.update.waiting import RESTART_S, limit_s
from contracts.lifecycle import DEADLINES, IN_PROGRESS, Party, Phase, check_step
from contracts.messages import Outcome, ReleaseRef

Next = tuple[Update, list[Effect]]

_NEXT = {
    Phase.FETCHING: Phase.STAGING,
    Phase.STAGING: Phase.TESTING,
    Phase.TESTING: Phase.SWITCHING,  # or into the shadow, where the wish says so
    Phase.SWITCHING: Phase.PROBATION,
    Phase.PROBATION: Phase.COMMITTED,
}
_WORK = {
    Phase.FETCHING: Do.FETCH,
    Phase.STAGING: Do.STAGE,
    Phase.TESTING: Do.START_CANDIDATE,
    Phase.SHADOW: Do.START_SHADOW,
    Phase.SWITCHING: Do.SWITCH,
    Phase.PROBATION: Do.START_PROBATION,
    Phase.COMMITTED: Do.COMMIT,
    Phase.ROLLED_BACK: Do.ROLL_BACK,
}
_WHEN_FAILED = {Phase.FETCHING: Phase.FAILED, Phase.STAGING: Phase.FAILED}
_WHEN_WITHDRAWN = {Phase.SWITCHING: Phase.ROLLED_BACK, Phase.PROBATION: Phase.ROLLED_BACK}
# The candidate's worker is taking the place of the committed one: first that comes to its end.
_HANDING_OVER = frozenset({Phase.SWITCHING, Phase.PROBATION})


def step(update: Update, event: Event, now: datetime) -> Next:
    """Return the next state, and the effects that make it true; a late or repeated event changes nothing."""
    match event:
        case Wished():
            return _wished(update, event, now)
        case Done(release, phase) if phase in _NEXT and _is_about(update, release, phase):
            return _advance(update, release, now)
        case Failed(release, phase, reason) if _is_about(update, release, phase):
            return _end(update, _WHEN_FAILED.get(phase, Phase.ROLLED_BACK), reason, now)
        case Unsuitable(release, reason) if _is_about(update, release, Phase.FETCHING):
            return _end(update, Phase.REJECTED, reason, now)
        case Progressed(release, phase) if _is_about(update, release, phase):
            return (replace(update, waited_s=0.0) if DEADLINES[phase].is_renewed else update), []
        case Waited(seconds):
            return _waited(update, seconds, now)
        case Crashed() | Disproved():
            return _faulted(update, event, now)
        case Steady(release) if is_same(release, update.current):
            return replace(update, good=release, strikes=0), []
        case Damaged(release, heir) if is_same(release, update.current):
            return _damaged(update, release, heir)
        case _:
            return update, []


def resume(update: Update, now: datetime) -> Next:
    """Go on after a restart of the agent: whatever was under way starts over from fetch, which finds what is on disk.

    Only a release that was unpacked or started can have brought the agent down, so a download may resume for as long as it may wait.
    """
    died = not update.has_left
    update = replace(update, has_left=False, shadowed_s=shadowed_s(update))
    effects: list[Effect] = []
    if update.phase in IN_PROGRESS and update.phase is not Phase.FETCHING:
        update, effects = _taken_up_after_death(update, now) if died else _start(update)
    else:
        if died:
            update, effects = _struck(update, "the agent died", now)
        if not effects:
            update, effects = _waited(update, RESTART_S, now)
        if not effects:
            update, effects = _start(update, update.waited_s) if update.candidate else (update, _cleared(update))
    served = [] if update.current is None else [Effect(Do.SERVE, update.current)]
    return update, served + effects


def leave(update: Update) -> Update:
    """Note that the agent ends in good order."""
    is_watched = update.is_on_trial or update.candidate is not None
    return replace(update, has_left=True) if is_watched else update


def _taken_up_after_death(update: Update, now: datetime) -> Next:
    if update.attempt < MAX_ATTEMPTS:
        return _start(replace(update, attempt=update.attempt + 1))
    reason = f"the agent died {MAX_ATTEMPTS} times while it was {update.phase.value}"
    ended, effects = _end(update, _WHEN_FAILED.get(update.phase, Phase.ROLLED_BACK), reason, now)
    return replace(ended, is_transient=False), effects


def _cleared(update: Update) -> list[Effect]:
    # The agent may have died before the last release's end was cleared away.
    return [] if update.last is None else [Effect(Do.DISCARD, update.last.release)]


def _wished(update: Update, wished: Wished, now: datetime) -> Next:
    is_later = wished.generation != update.generation
    update = replace(update, generation=wished.generation)
    if is_same(wished.release, update.wish) and wished.shadow == update.shadow:
        return _taken_up(replace(update, retries=0)) if is_later and update.may_try_again else (update, [])
    if is_same(wished.release, update.wish) and not starts_over(update, wished.shadow):
        return on_other_terms(update, wished.shadow)
    effects: list[Effect] = []
    if update.candidate is not None:
        target = _WHEN_WITHDRAWN.get(update.phase, Phase.CANCELLED)
        update, effects = _end(update, target, "the fleet withdrew it", now)
    asked = replace(update, wish=wished.release, shadow=wished.shadow, shadowed_s=0.0, manifest_bytes=wished.manifest_bytes)
    update = replace(asked, retries=0, is_transient=False)
    if wished.release is None:
        return update, effects
    update, more = _offered(update, wished.release, now)
    return update, effects + more


def _offered(update: Update, release: ReleaseRef, now: datetime) -> Next:
    if is_same(release, update.current):
        return replace(update, phase=Phase.COMMITTED, attempt=0, crashes=0, waited_s=0.0, reason=""), []
    is_return = is_same(release, update.previous)
    if update.current is not None and release.release <= update.current.release and not is_return:
        reason = f"rollback: release {release.release} does not follow the committed release {update.current.release}"
        return _end(replace(update, phase=Phase.OFFERED, candidate=release, attempt=0), Phase.REJECTED, reason, now)
    return _taken_up(update)


def _taken_up(update: Update) -> Next:
    return _start(replace(update, candidate=update.wish, attempt=1, is_transient=False))


def _start(update: Update, waited_s: float = 0.0) -> Next:
    assert update.candidate is not None
    fresh = replace(update, phase=Phase.OFFERED, crashes=0, waited_s=waited_s, reason="")
    return _move(fresh, Phase.FETCHING), [Effect(Do.FETCH, update.candidate)]


def _advance(update: Update, release: ReleaseRef, now: datetime) -> Next:
    target = Phase.SHADOW if update.phase is Phase.TESTING and update.shadow is not None else _NEXT[update.phase]
    if target is not Phase.COMMITTED:
        return replace(_move(update, target), waited_s=0.0), [Effect(_WORK[target], release)]
    return _end(replace(update, current=release, previous=_previous_after(update, release), strikes=0), target, "", now)


def _previous_after(update: Update, committed: ReleaseRef) -> ReleaseRef | None:
    """Return what to go back to from now on: what never served steadily does not take the place of what did."""
    if is_same(committed, update.previous):
        return update.current if is_same(update.current, update.good) else None
    keeps_previous = update.previous is not None and is_same(update.previous, update.good)
    return update.previous if keeps_previous else update.current


def _end(update: Update, target: Phase, reason: str, now: datetime) -> Next:
    release = update.candidate
    assert release is not None  # only a life that began can end
    outcome = Outcome(release=release, result=target, reason=reason[:1000], at=now)
    ended = replace(_move(update, target), candidate=None, waited_s=0.0, reason=outcome.reason, last=outcome)
    if target is Phase.ROLLED_BACK and is_same(release, update.previous) and not is_same(release, update.good):
        ended = replace(ended, previous=None)  # the way back leads nowhere, and never did for long
    return replace(ended, is_transient=target is Phase.FAILED), [Effect(_WORK.get(target, Do.DISCARD), release)]


def _waited(update: Update, seconds: float, now: datetime) -> Next:
    limit = limit_s(update)
    if limit is None:
        return update, []
    waited = replace(update, waited_s=update.waited_s + seconds)
    if waited.waited_s < limit:
        return waited, []
    if update.candidate is None:
        return _taken_up(replace(update, retries=update.retries + 1))
    reason = f"time: expected progress while {update.phase.value} within {limit:g} s, found none"
    return _end(waited, DEADLINES[update.phase].outcome, reason, now)


def _faulted(update: Update, event: Crashed | Disproved, now: datetime) -> Next:
    if is_same(event.release, update.current):
        return (_struck if isinstance(event, Crashed) else _disproved)(update, event.reason, now)
    if isinstance(event, Disproved) or not _is_about(update, event.release, Phase.PROBATION):
        return update, []
    crashed = replace(update, crashes=update.crashes + 1)
    if crashed.crashes < MAX_CRASHES:
        return crashed, []
    return _end(crashed, Phase.ROLLED_BACK, f"{MAX_CRASHES} crashes in probation, the last: {event.reason}", now)


def _struck(update: Update, reason: str, now: datetime) -> Next:
    """Count against a committed release on trial, and go back to the previous one when it was too often."""
    if not update.is_on_trial:
        return update, []
    struck = replace(update, strikes=min(update.strikes + 1, MAX_STRIKES))
    if struck.strikes < MAX_STRIKES or update.phase in _HANDING_OVER:
        return struck, []
    text = f"it brought its worker or the agent down {MAX_STRIKES} times before it had served steadily, the last: {reason}"
    return _fall_back(struck, text, now)


def _disproved(update: Update, reason: str, now: datetime) -> Next:
    """Leave a committed release that computes something else on this device than it did, once there is another one to go back to.

    It may have served for years: what has changed is the system below it. The one before has to prove itself as well.
    """
    if update.previous is None or update.phase in _HANDING_OVER:
        return update, []
    return _fall_back(update, f"it cannot be proved on this device as it is now: {reason}", now)


def _fall_back(update: Update, text: str, now: datetime) -> Next:
    bad = update.current
    assert bad is not None  # it is on trial, or was disproved
    check_step(Phase.COMMITTED, Phase.ROLLED_BACK, Party.AGENT)
    outcome = Outcome(release=bad, result=Phase.ROLLED_BACK, reason=text[:1000], at=now)
    # What was steady before the system changed is good no more.
    good = None if is_same(bad, update.good) else update.good
    back = replace(update, current=update.previous, previous=None, good=good, strikes=0, last=outcome, reason=outcome.reason, waited_s=0.0)
    back = _without_return(back)
    served = [Effect(Do.ROLL_BACK, bad)]
    if back.candidate is None and not back.may_try_again:
        return replace(back, phase=Phase.ROLLED_BACK, is_transient=False), served
    again, effects = _start(back) if back.candidate is not None else _taken_up(back)
    return again, served + effects


def _damaged(update: Update, lost: ReleaseRef, heir: ReleaseRef | None) -> Next:
    """Serve the heir, and fetch the lost release again while the fleet wishes it; without an heir any release is better than none."""
    update = _without_return(replace(update, current=heir, previous=None, strikes=0))
    served = [Effect(Do.ROLL_BACK, lost)]
    if update.candidate is not None:
        again, effects = _start(update)
    elif update.wish is not None and (heir is None or is_same(update.wish, lost)):
        again, effects = _taken_up(replace(update, retries=0))
    else:
        phase = Phase.OFFERED if heir is None else Phase.COMMITTED
        return replace(update, phase=phase, reason="the release on disk was damaged", waited_s=0.0, is_transient=False), served
    return again, served + effects


def _without_return(update: Update) -> Update:
    """Give up the way back to a release that serves already."""
    return replace(update, candidate=None) if is_same(update.candidate, update.current) else update


def _move(update: Update, target: Phase) -> Update:
    check_step(update.phase, target, Party.AGENT)
    return replace(update, phase=target)


def _is_about(update: Update, release: ReleaseRef, phase: Phase) -> bool:
    return update.phase is phase and is_same(release, update.candidate)
