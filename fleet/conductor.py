"""Carries rollouts out: follows what devices report, keeps what was decided, and then tells the director."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from contracts.downlinks import ShadowWish
from contracts.messages import ReleaseRef
from fleet.core.gates.evidence import Evidence
from fleet.core.rollout.history import FLEET, Entry, own_entries
from fleet.core.rollout.model import LOST, Errand, Member, Rollout, Standing, State, told
from fleet.core.rollout.step import News, is_gated, step
from fleet.errors import FleetError
from fleet.errors.rollouts import StaleRolloutError

# Wishes are signed one by one: so many in one turn keep it well below a second.
MAX_ERRANDS = 500
EVIDENCE_EVERY = timedelta(seconds=5)
# All that was said since the first commit is weighed anew, which takes the longer the more it is, and changes the answer the less.
LOOKS = 500
NEWCOMERS_EVERY = timedelta(seconds=30)

log = logging.getLogger("fleet.conductor")


class Ear(Protocol):
    """What devices said."""

    def listen(self, now: datetime) -> set[str]:
        """Return the devices that said something new."""

    def standing(self, device: str, model: str) -> Standing | None:
        """Return how a model stands on a device; None for one that never spoke."""


class Rollouts(Protocol):
    """Where rollouts are kept, and changed by people meanwhile."""

    def open_revisions(self) -> Mapping[int, int]:
        """Return the revision of each rollout that is followed."""

    def get(self, number: int) -> Rollout:
        """Return one rollout."""

    def save(self, before: Rollout, after: Rollout, entries: Sequence[Entry]) -> Rollout:
        """Keep what changed, and return it with its new revision; raise StaleRolloutError."""


class Director(Protocol):
    """Who tells devices."""

    def wish_all(self, model: str, wanted: Mapping[str, ReleaseRef | None], now: datetime) -> Mapping[str, int]:
        """Wish each device a release of a model, or none, and return the generations; the same wish again changes nothing."""

    def shadow_all(self, model: str, wanted: Mapping[str, ShadowWish], now: datetime) -> Mapping[str, int]:
        """Wish that each device runs a release beside what serves, and return the generations."""


class Witness(Protocol):
    """Where a gate's evidence comes from."""

    def evidence(self, rollout: Rollout) -> Evidence:
        """Return what is known of those that have the release, and of those to compare them with."""

    def blame(self, rollout: Rollout) -> Sequence[str]:
        """Return what sets the lost devices apart from those that committed, in sentences."""


class Recruiter(Protocol):
    """Who looks for devices that were added since a rollout began."""

    def join(self, rollout: Rollout, now: datetime) -> Rollout:
        """Return the rollout with its newcomers."""


class Conductor:
    """Follows all rollouts from one thread; whoever else changes one makes it be read again."""

    def __init__(self, rollouts: Rollouts, ear: Ear, director: Director, witness: Witness, recruiter: Recruiter) -> None:
        """Nothing moves before `turn`."""
        self._rollouts = rollouts
        self._ear = ear
        self._director = director
        self._witness = witness
        self._recruiter = recruiter
        self._open: dict[int, Rollout] = {}
        # Whose standing a rollout has to look at again, though they said nothing new.
        self._again: dict[int, set[str]] = {}
        self._looked: dict[tuple[int, str], datetime] = {}

    def turn(self, now: datetime) -> None:
        """Bring every rollout one step further.

        What was decided is kept before the director is told: telling may run twice, and none may be lost.
        """
        if self._read() or not self._open:
            return  # reading ten thousand devices is enough for one turn
        try:
            fresh = self._ear.listen(now)
            for number in tuple(self._open):
                self._advance(number, fresh, now)
        except FleetError:
            self._open.clear()  # read again, and with it all that was heard
            raise

    def _read(self) -> bool:
        """Forget what others changed, and read what is new; say whether there was any."""
        revisions = self._rollouts.open_revisions()
        for number in tuple(self._open):
            if revisions.get(number) != self._open[number].revision:
                self._forget(number)
        unknown = revisions.keys() - self._open.keys()
        for number in unknown:
            self._open[number] = rollout = self._rollouts.get(number)
            self._again[number] = set(rollout.members)
        return bool(unknown)

    def _forget(self, number: int) -> None:
        self._open.pop(number, None)
        self._again.pop(number, None)

    def _advance(self, number: int, fresh: set[str], now: datetime) -> None:
        try:
            self._step(self._open[number], fresh, now)
        except StaleRolloutError as error:
            log.info("%s", error)
            self._forget(number)

    def _step(self, before: Rollout, fresh: set[str], now: datetime) -> None:
        after = step(self._joined(before, now), self._news(before, fresh, now), now)
        if after is not before:
            after = self._keep(before, after, now)
        errands = after.errands()[:MAX_ERRANDS] if after.ended_at is None else []
        if errands:
            generations = self._tell(after, errands, now)
            self._again[after.id] |= generations.keys()
            self._keep(after, told(after, generations), now)

    def _tell(self, rollout: Rollout, errands: Sequence[Member], now: datetime) -> dict[str, int]:
        model, terms = rollout.release.model, rollout.plan.shadow
        shadows = {
            member.device: ShadowWish(release=member.target, terms=terms)
            for member in errands
            if member.errand is Errand.SHADOW and member.target is not None and terms is not None
        }
        wanted = {member.device: _wanted(member) for member in errands if member.device not in shadows}
        generations = dict(self._director.wish_all(model, wanted, now)) if wanted else {}
        return {**generations, **(self._director.shadow_all(model, shadows, now) if shadows else {})}

    def _keep(self, before: Rollout, after: Rollout, now: datetime) -> Rollout:
        entries = own_entries(before, after, now)
        if after.state is State.FAILED and before.state is not State.FAILED:
            judged = before.having(member for member in after.members.values() if member.phase in LOST)
            entries.extend(Entry(now, FLEET, "blame", sentence) for sentence in self._witness.blame(judged))
        kept = self._rollouts.save(before, after, entries)
        self._open[before.id] = kept
        return kept

    def _news(self, rollout: Rollout, fresh: set[str], now: datetime) -> News:
        devices = (fresh | self._again[rollout.id]) & rollout.members.keys()
        self._again[rollout.id] = set()
        standings = {device: standing for device in devices if (standing := self._ear.standing(device, rollout.release.model)) is not None}
        every = max(EVIDENCE_EVERY, (now - rollout.started_at) / LOOKS)
        is_due = is_gated(rollout) and self._is_due((rollout.id, "evidence"), every, now)
        return News(standings, self._witness.evidence(rollout) if is_due else None)

    def _joined(self, rollout: Rollout, now: datetime) -> Rollout:
        is_wanted = rollout.plan.takes_newcomers and rollout.state is State.RUNNING
        return (
            self._recruiter.join(rollout, now) if is_wanted and self._is_due((rollout.id, "newcomers"), NEWCOMERS_EVERY, now) else rollout
        )

    def _is_due(self, what: tuple[int, str], every: timedelta, now: datetime) -> bool:
        last = self._looked.get(what)
        if last is not None and now - last < every:
            return False
        self._looked[what] = now
        return True


def _wanted(member: Member) -> ReleaseRef | None:
    return member.target if member.errand is Errand.OFFER else member.baseline
