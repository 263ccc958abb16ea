"""Decides what happens next to one model's release: a pure machine over the phases of contracts/lifecycle.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from agent.core.slots import Slots
from contracts.lifecycle import IN_PROGRESS, Party, Phase, check_step
from contracts.messages import Outcome, ReleaseRef

# A release that was unpacked or started when the agent died is given this many tries in all.
MAX_ATTEMPTS = 3
MAX_CRASHES = 3


class Do(Enum):
    """What the machine asks its driver to do; each may be asked twice."""

    FETCH = "fetch"
    STAGE = "stage"
    START_CANDIDATE = "start_candidate"
    SWITCH = "switch"
    START_PROBATION = "start_probation"
    COMMIT = "commit"
    DISCARD = "discard"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True)
class Effect:
    """One deed, and the release it is about."""

    do: Do
    release: ReleaseRef


@dataclass(frozen=True)
class Update:
    """One model on this device; OFFERED without a candidate means that no wish was heard yet."""

    phase: Phase = Phase.OFFERED
    # What the fleet asked for last, whatever became of it.
    wish: ReleaseRef | None = None
    # Only while it is under way.
    candidate: ReleaseRef | None = None
    manifest_bytes: int = 0
    current: ReleaseRef | None = None
    previous: ReleaseRef | None = None
    attempt: int = 0
    crashes: int = 0
    reason: str = ""
    last: Outcome | None = None

    @property
    def slots(self) -> Slots:
        """Return which unpacked releases the device's links shall name."""
        is_unpacked = self.phase in {Phase.TESTING, Phase.SWITCHING, Phase.PROBATION}
        return Slots(_digest(self.current), _digest(self.previous), _digest(self.candidate) if is_unpacked else None)

    @property
    def needed(self) -> frozenset[str]:
        """Return the releases whose files must stay, also while they are only being unpacked."""
        named = (self.current, self.previous, self.candidate)
        return frozenset(release.manifest_sha256 for release in named if release is not None)


@dataclass(frozen=True)
class Wished:
    """A verified desired document names this release for the model, or none."""

    release: ReleaseRef | None
    manifest_bytes: int = 0


@dataclass(frozen=True)
class Done:
    """The work of a phase succeeded."""

    release: ReleaseRef
    phase: Phase


@dataclass(frozen=True)
class Failed:
    """The work of a phase failed."""

    release: ReleaseRef
    phase: Phase
    reason: str


@dataclass(frozen=True)
class Unsuitable:
    """The release's manifest arrived and shows that it is not for this device."""

    release: ReleaseRef
    reason: str


@dataclass(frozen=True)
class Crashed:
    """The serving worker of a release ended by itself or hung."""

    release: ReleaseRef
    reason: str


@dataclass(frozen=True)
class Damaged:
    """The committed release's bytes on disk are no longer those of its digest; `heir` still is intact, if there is one."""

    heir: ReleaseRef | None


Event = Wished | Done | Failed | Unsuitable | Crashed | Damaged

_NEXT = {
    Phase.FETCHING: Phase.STAGING,
    Phase.STAGING: Phase.TESTING,
    Phase.TESTING: Phase.SWITCHING,
    Phase.SWITCHING: Phase.PROBATION,
    Phase.PROBATION: Phase.COMMITTED,
}
_WORK = {
    Phase.FETCHING: Do.FETCH,
    Phase.STAGING: Do.STAGE,
    Phase.TESTING: Do.START_CANDIDATE,
    Phase.SWITCHING: Do.SWITCH,
    Phase.PROBATION: Do.START_PROBATION,
    Phase.COMMITTED: Do.COMMIT,
    Phase.ROLLED_BACK: Do.ROLL_BACK,
}
_WHEN_FAILED = {Phase.FETCHING: Phase.FAILED, Phase.STAGING: Phase.FAILED}
_WHEN_WITHDRAWN = {Phase.SWITCHING: Phase.ROLLED_BACK, Phase.PROBATION: Phase.ROLLED_BACK}


def step(update: Update, event: Event, now: datetime) -> tuple[Update, list[Effect]]:
    """Return the next state, and the effects that make it true; a late or repeated event changes nothing."""
    match event:
        case Wished(release, manifest_bytes):
            return _wished(update, release, manifest_bytes, now)
        case Damaged(heir):
            return _damaged(update, heir), []
        case Done(release, phase) if _is_about(update, release, phase):
            return _advance(update, release, now)
        case Failed(release, phase, reason) if _is_about(update, release, phase):
            return _end(update, _WHEN_FAILED.get(phase, Phase.ROLLED_BACK), reason, now)
        case Unsuitable(release, reason) if _is_about(update, release, Phase.FETCHING):
            return _end(update, Phase.REJECTED, reason, now)
        case Crashed(release, reason) if _is_about(update, release, Phase.PROBATION):
            crashed = replace(update, crashes=update.crashes + 1)
            if crashed.crashes < MAX_CRASHES:
                return crashed, []
            return _end(crashed, Phase.ROLLED_BACK, f"{MAX_CRASHES} crashes in probation, the last: {reason}", now)
        case _:
            return update, []


def resume(update: Update, now: datetime) -> tuple[Update, list[Effect]]:
    """Go on after a restart of the agent: whatever was under way starts over from fetch, which finds what is on disk.

    Only a release that was unpacked or started can have brought the agent down, so a download may resume any number of times.
    """
    if update.phase not in IN_PROGRESS or update.candidate is None:
        return update, []
    attempt = update.attempt if update.phase is Phase.FETCHING else update.attempt + 1
    if attempt > MAX_ATTEMPTS:
        reason = f"the agent ended {MAX_ATTEMPTS} times while it was {update.phase.value}"
        return _end(update, _WHEN_FAILED.get(update.phase, Phase.ROLLED_BACK), reason, now)
    return _start(replace(update, attempt=attempt), update.candidate)


def _wished(update: Update, release: ReleaseRef | None, manifest_bytes: int, now: datetime) -> tuple[Update, list[Effect]]:
    if _digest(release) == _digest(update.wish):
        return update, []
    effects: list[Effect] = []
    if update.candidate is not None:
        target = _WHEN_WITHDRAWN.get(update.phase, Phase.CANCELLED)
        update, effects = _end(update, target, "the fleet withdrew it", now)
    update = replace(update, wish=release, manifest_bytes=manifest_bytes)
    if release is None:
        return update, effects
    update, more = _offered(update, release, now)
    return update, effects + more


def _offered(update: Update, release: ReleaseRef, now: datetime) -> tuple[Update, list[Effect]]:
    if _digest(release) == _digest(update.current):
        return replace(update, phase=Phase.COMMITTED, attempt=0, crashes=0, reason=""), []
    if update.current is not None and release.release <= update.current.release:
        reason = f"rollback: release {release.release} does not follow the committed release {update.current.release}"
        return _end(replace(update, phase=Phase.OFFERED, candidate=release, attempt=0), Phase.REJECTED, reason, now)
    return _start(replace(update, attempt=1), release)


def _start(update: Update, release: ReleaseRef) -> tuple[Update, list[Effect]]:
    fresh = replace(update, phase=Phase.OFFERED, candidate=release, crashes=0, reason="")
    return _move(fresh, Phase.FETCHING), [Effect(Do.FETCH, release)]


def _advance(update: Update, release: ReleaseRef, now: datetime) -> tuple[Update, list[Effect]]:
    target = _NEXT[update.phase]
    if target is Phase.COMMITTED:
        return _end(replace(update, current=release, previous=update.current), target, "", now)
    return _move(update, target), [Effect(_WORK[target], release)]


def _end(update: Update, target: Phase, reason: str, now: datetime) -> tuple[Update, list[Effect]]:
    release = update.candidate
    assert release is not None  # only a life that began can end
    outcome = Outcome(release=release, result=target, reason=reason[:1000], at=now)
    ended = replace(_move(update, target), candidate=None, reason=outcome.reason, last=outcome)
    return ended, [Effect(_WORK.get(target, Do.DISCARD), release)]


def _damaged(update: Update, heir: ReleaseRef | None) -> Update:
    # Forgetting the wish makes the next verified one count as new, so that the lost release is fetched again.
    wish = None if _digest(update.wish) == _digest(update.current) else update.wish
    update = replace(update, wish=wish, current=heir, previous=None)
    if update.candidate is not None:
        return update
    return replace(update, phase=Phase.OFFERED if heir is None else Phase.COMMITTED, reason="the release on disk was damaged")


def _move(update: Update, target: Phase) -> Update:
    check_step(update.phase, target, Party.AGENT)
    return replace(update, phase=target)


def _is_about(update: Update, release: ReleaseRef, phase: Phase) -> bool:
    return update.phase is phase and _digest(release) == _digest(update.candidate)


def _digest(release: ReleaseRef | None) -> str | None:
    return None if release is None else release.manifest_sha256
