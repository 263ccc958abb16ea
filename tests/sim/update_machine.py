"""The real update machine, asked each question once: its states by number, and releases by their place in RELEASES, 0 being none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from agent.core.update import (
    Do,
    Effect,
    Event,
    Update,
    resume,
    step,
)
from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
# What a clock without a battery says, and one that was set wrong.
OTHER_NOWS = (datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(2099, 1, 1, tzinfo=timezone.utc))


class Ref(ReleaseRef, frozen=True):
    """A release whose hash costs little, because worlds are looked up by the million."""

    def __hash__(self) -> int:
        """Return something that differs."""
        return self.release


RELEASES = (None, *(Ref(model="digits", release=number, manifest_sha256=f"{number:064x}") for number in (1, 2, 3)))
PHASE_OF = {
    Do.FETCH: Phase.FETCHING,
    Do.STAGE: Phase.STAGING,
    Do.START_CANDIDATE: Phase.TESTING,
    Do.START_SHADOW: Phase.SHADOW,
    Do.SWITCH: Phase.SWITCHING,
    Do.START_PROBATION: Phase.PROBATION,
}


class Machine:
    """The real machine's answers, each asked for once, and its states by number."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self._numbers: dict[Update, int] = {}
        self._steps: dict[tuple[int, Event], tuple[int, tuple[Effect, ...]]] = {}
        self._resumes: dict[int, tuple[int, tuple[Effect, ...]]] = {}

    def number(self, update: Update) -> int:
        """Return what a state is known by."""
        found = self._numbers.get(update)
        if found is None:
            found = self._numbers[update] = len(self.updates)
            self.updates.append(update)
        return found

    def step(self, number: int, event: Event) -> tuple[int, tuple[Effect, ...]]:
        """Ask the machine, at several times of the day."""
        found = self._steps.get((number, event))
        if found is None:
            update = self.updates[number]
            after, effects = step(update, event, NOW)
            for now in OTHER_NOWS:
                other, others = step(update, event, now)
                assert (timeless(other), others) == (timeless(after), effects), f"the time of the day decides on {event} in {update}"
            found = self._steps[number, event] = (self.number(after), tuple(effects))
        return found

    def resume(self, number: int) -> tuple[int, tuple[Effect, ...]]:
        """Ask the machine how it goes on after a restart."""
        found = self._resumes.get(number)
        if found is None:
            after, effects = resume(self.updates[number], NOW)
            found = self._resumes[number] = (self.number(after), tuple(effects))
        return found


def timeless(update: Update) -> Update:
    """Return a state without the time that its last outcome carries."""
    return update if update.last is None else replace(update, last=update.last.model_copy(update={"at": NOW}))


def place(release: ReleaseRef | None) -> int:
    """Return what a release is known by."""
    return 0 if release is None else release.release
