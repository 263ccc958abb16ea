"""A small world around the real update machine: one disk, one worker, one fleet, and everything that may go wrong with them.

A world is a tuple of small values, so that all that can happen to it can be followed. Whatever goes wrong costs one of its `faults`;
what the fleet wishes anew costs one of its `wishes`. Releases are known by their place in RELEASES, 0 is none; a wish for one to run as
a shadow is known by the negative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import lru_cache
from typing import NamedTuple

from agent.control.workbench import INTERRUPTIBLE
from agent.core.update import (
    Crashed,
    Damaged,
    Disproved,
    Do,
    Done,
    Effect,
    Event,
    Failed,
    Steady,
    Unsuitable,
    Update,
    Waited,
    Wished,
    leave,
    limit_s,
    resume,
    step,
)
from agent.core.update.inbox import filed, without_work
from contracts.lifecycle import IN_PROGRESS, Phase
from contracts.messages import ReleaseRef
from contracts.shadow import ShadowTerms

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
# What a clock without a battery says, and one that was set wrong.
OTHER_NOWS = (datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(2099, 1, 1, tzinfo=timezone.utc))
MANIFEST_BYTES = 100
IN_SHADOW = -2
TERMS = ShadowTerms(share=0.05, life_s=1000.0)


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


class World(NamedTuple):
    """All there is; numbers of states are the machine's."""

    disk: int
    # The agent's own state; None while no agent runs.
    mind: int | None
    # Decided, and not yet on the disk: the state, its effects, and whether damage is the cause.
    decided: tuple[int, tuple[Effect, ...], bool] | None
    # Deeds that are under way or wait for their turn.
    deeds: tuple[Effect, ...]
    events: tuple[Event, ...]
    # Unpacked releases whose bytes are right.
    files: frozenset[int]
    serving: int
    is_full: bool
    # The fleet's document, and the one before it: release and generation.
    wish: tuple[int, int]
    old_wish: tuple[int, int]
    faults: int
    wishes: int
    # Only for the judge: what was rolled back and not committed since, and whether the disk ever lost bytes.
    blamed: frozenset[int]
    was_damaged: bool


Move = tuple[str, World]


class Physics:
    """What may happen next in a world."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def moves(self, world: World) -> Iterator[Move]:
        """Yield everything that can happen."""
        if world.mind is None:
            yield "boot", self._decide(world, self._machine.resume(world.disk))
        else:
            yield from self._of_agent(world)
            if world.faults:
                yield from self._mishaps(world._replace(faults=world.faults - 1))
        if world.faults:
            spent = world._replace(faults=world.faults - 1)
            for release in world.files:
                yield "damage", spent._replace(files=world.files - {release}, was_damaged=True)
            if not world.is_full:
                yield "disk full", spent._replace(is_full=True)
        if world.is_full:
            yield "disk has room", world._replace(is_full=False)
        if world.wishes:
            for release in (*range(len(RELEASES)), IN_SHADOW):
                wish = (release, world.wish[1] + 1)
                yield "new wish", world._replace(wish=wish, old_wish=world.wish, wishes=world.wishes - 1)

    def _of_agent(self, world: World) -> Iterator[Move]:
        """Yield what a running agent does, nothing having gone wrong."""
        assert world.mind is not None
        if world.decided is not None:
            yield from self._save(world)
        if world.deeds:
            yield "deed", self.done(world)
        yield "wish heard", self._wish(world, wished(world.wish))
        if world.decided is not None:
            return
        if world.events:
            yield "event", self.hear(world, 0)
        current = self._machine.updates[world.mind].current
        if current is not None and place(current) == world.serving:
            yield "steady", self._decide(world, self._machine.step(world.mind, Steady(current)))

    def _mishaps(self, world: World) -> Iterator[Move]:
        """Yield what may go wrong with a running agent; it has been paid for."""
        assert world.mind is not None
        yield "crash", died(world)
        if self._is_collecting(world):
            for release in world.files - self._kept(world):
                yield "crash while clearing away", died(world._replace(files=world.files - {release}))
        yield from self._faults(world)
        if world.deeds and world.deeds[0].do in PHASE_OF:
            yield from self._failures(world)
        yield "old wish heard", self._wish(world, wished(world.old_wish))
        if world.decided is not None:
            return
        if not world.is_full:
            left = self._machine.number(leave(self._machine.updates[world.mind]))
            yield "leave", died(world)._replace(disk=left)
        for index in range(len(world.events)):
            yield "event lost", world._replace(events=world.events[:index] + world.events[index + 1 :])
            yield "event twice", self.hear(world._replace(events=(*world.events, world.events[index])), index)
            if index:
                yield "event out of order", self.hear(world, index)
        limit = limit_s(self._machine.updates[world.mind])
        if limit is not None:
            yield "deadline", self.wait(world, limit)

    def _faults(self, world: World) -> Iterator[Move]:
        assert world.mind is not None
        serving, current = RELEASES[world.serving], self._machine.updates[world.mind].current
        if serving is not None:
            yield "worker crash", world._replace(events=filed(world.events, Crashed(serving, "signal 11")))
        if current is not None:
            yield "system changed", world._replace(events=filed(world.events, Disproved(current, "value 3")))

    def _failures(self, world: World) -> Iterator[Move]:
        deed, rest = world.deeds[0], world.deeds[1:]
        phase = PHASE_OF[deed.do]
        yield "work fails", world._replace(deeds=rest, events=filed(world.events, Failed(deed.release, phase, "broken")))
        yield "work never ends", world._replace(deeds=rest)
        if deed.do is Do.FETCH:
            yield "unsuitable", world._replace(deeds=rest, events=filed(world.events, Unsuitable(deed.release, "not for us")))
        if deed.do is Do.SWITCH:
            yield "switched, then never ends", self.done(world)._replace(events=world.events)

    def _wish(self, world: World, event: Wished) -> World:
        """Hear a document at once, or as soon as the step that was decided is saved; the same one again is nothing new."""
        if world.decided is not None:
            return world._replace(events=filed(world.events, event))
        assert world.mind is not None
        return self._decide(world, self._machine.step(world.mind, event))

    def hear(self, world: World, index: int) -> World:
        """Let the machine hear one of the events that wait."""
        assert world.mind is not None
        event = world.events[index]
        rest = world._replace(events=world.events[:index] + world.events[index + 1 :])
        return self._decide(rest, self._machine.step(world.mind, event), isinstance(event, Damaged))

    def wait(self, world: World, seconds: float) -> World:
        """Let time pass."""
        assert world.mind is not None
        return self._decide(world, self._machine.step(world.mind, Waited(seconds)))

    def _decide(self, world: World, answer: tuple[int, tuple[Effect, ...]], is_damage: bool = False) -> World:
        after, effects = answer
        mind = world.disk if world.mind is None else world.mind
        if after == mind and not effects:
            return world._replace(mind=mind)
        # As the driver does: work of the old state ends at once, and what must not stop half way comes to its end.
        deeds = tuple(deed for deed in world.deeds if deed.do not in INTERRUPTIBLE) if effects else world.deeds
        return world._replace(mind=mind, decided=(after, effects, is_damage), deeds=deeds)

    def _save(self, world: World) -> Iterator[Move]:
        assert world.decided is not None
        after, effects, is_damage = world.decided
        if (world.is_full and after != world.mind) or (effects and world.deeds):
            return
        before, update = self._machine.updates[world.disk], self._machine.updates[after]
        blamed = world.blamed - {place(update.current)}
        if update.last is not None and update.last != before.last and update.last.result is Phase.ROLLED_BACK:
            # What was good once stays the last known good, also where it did not prove itself on the way back.
            has_stayed = update.last.release == before.candidate == before.previous == before.good
            blamed |= set() if has_stayed else {place(update.last.release)}
        judge_save(before, update, effects, is_damage=is_damage)
        deeds, events = (effects, without_work(world.events)) if effects else (world.deeds, world.events)
        yield "save", world._replace(disk=after, mind=after, decided=None, deeds=deeds, events=events, blamed=blamed)

    def done(self, world: World) -> World:
        """Carry out the first deed; doing it twice is as doing it once."""
        once = self._do(world)
        again = self._do(once._replace(deeds=world.deeds))
        assert again._replace(events=once.events) == once, f"{world.deeds[0]} done twice is not as done once"
        return once

    def _do(self, world: World) -> World:
        deed, rest = world.deeds[0], world.deeds[1:]
        release, after = place(deed.release), world._replace(deeds=rest)
        match deed.do:
            case Do.SERVE:
                return self._served(after)
            case Do.ROLL_BACK:
                return self._collected(self._served(after))
            case Do.COMMIT | Do.DISCARD:
                return self._collected(after)
            case Do.STAGE:
                after = after._replace(files=world.files | {release})
            case Do.START_CANDIDATE if release not in world.files:
                return after._replace(events=filed(after.events, Failed(deed.release, Phase.TESTING, "damaged")))
            case Do.START_SHADOW:
                return after  # the fleet's next wish ends it, or its deadline
            case Do.SWITCH:
                after = after._replace(serving=release)
            case Do.START_PROBATION if world.serving != release:
                return after  # it is never alive: only the deadline ends this
            case _:
                pass
        return after._replace(events=filed(after.events, Done(deed.release, PHASE_OF[deed.do])))

    def _served(self, world: World) -> World:
        assert world.mind is not None
        update = self._machine.updates[world.mind]
        current, previous = update.current, update.previous
        if current is None or place(current) in world.files:
            return world._replace(serving=place(current))
        heir = previous if place(previous) in world.files else None
        return world._replace(serving=place(heir), events=filed(world.events, Damaged(current, heir)))

    def _collected(self, world: World) -> World:
        return world._replace(files=world.files & self._kept(world))

    def _kept(self, world: World) -> frozenset[int]:
        needed = self._machine.updates[world.disk].needed
        return frozenset(place(release) for release in RELEASES if release and release.manifest_sha256 in needed)

    def _is_collecting(self, world: World) -> bool:
        return bool(world.deeds) and world.deeds[0].do in {Do.COMMIT, Do.DISCARD, Do.ROLL_BACK}

    def settled(self, world: World, *, works: bool) -> World | None:
        """Return the world one moment later when nobody helps and nothing goes wrong any more; None when it stays as it is.

        The disk has room again, the agent is started when it does not run; nothing comes from the fleet. When `works` is false all
        work is without an end, and its deadline alone can end it.
        """
        world = world._replace(is_full=False)
        if world.mind is None:
            return self._decide(world, self._machine.resume(world.disk))
        if world.deeds:
            is_endless = not works and world.deeds[0].do in PHASE_OF
            return world._replace(deeds=world.deeds[1:]) if is_endless else self.done(world)
        if world.decided is not None:
            return next(self._save(world))[1]
        if world.events:
            return self.hear(world, 0)
        limit = limit_s(self._machine.updates[world.mind])
        return None if limit is None else self.wait(world, limit)


def died(world: World) -> World:
    """End the agent and its worker."""
    return world._replace(mind=None, decided=None, deeds=(), events=(), serving=0)


@lru_cache(None)
def wished(wish: tuple[int, int]) -> Wished:
    """Return a document of the fleet as the machine hears it."""
    release, generation = wish
    return Wished(RELEASES[abs(release)], MANIFEST_BYTES, generation, TERMS if release < 0 else None)


def judge_save(before: Update, after: Update, effects: tuple[Effect, ...], *, is_damage: bool) -> None:
    """Check what one step made of a state."""
    told = after.last if after.last != before.last else None
    if before.current is not None and (after.current is None or after.current.release < before.current.release):
        is_named = told is not None and told.result is Phase.ROLLED_BACK and told.release == before.current and told.reason
        is_return = told is not None and told.result is Phase.COMMITTED and after.current == before.previous
        assert is_named or is_return or is_damage, f"the release counter shrinks without a name: {before} to {after}"
    if told is not None and told.result is not Phase.COMMITTED:
        assert told.reason, f"an end without a reason: {after}"
    if effects and after.candidate is not None:
        last = effects[-1]
        assert (PHASE_OF.get(last.do), last.release) == (after.phase, after.candidate), f"work is cut off and not begun again: {after}"


def judge(machine: Machine, world: World) -> None:
    """Check what must be true at every moment; raise AssertionError."""
    saved = machine.updates[world.disk]
    slots = (place(saved.current), place(saved.previous))
    assert (saved.candidate is not None) is (saved.phase in IN_PROGRESS), f"a candidate without its phase: {saved}"
    assert not (saved.current and saved.current == saved.previous), f"one release in both slots: {saved}"
    assert not world.blamed & set(slots), f"a slot names a release that was rolled back: {saved}"
    if saved.good is not None and not world.was_damaged:
        assert place(saved.good) in slots, f"the last known good is in no slot: {saved}"
    if not world.was_damaged:
        assert world.files.issuperset(set(slots) - {0}), f"a slot's files are gone: {saved}"
    if saved.phase in {Phase.REJECTED, Phase.FAILED, Phase.ROLLED_BACK, Phase.CANCELLED}:
        assert saved.reason, f"an end without a reason: {saved}"


def judge_end(machine: Machine, world: World) -> None:
    """Check a world that stays as it is."""
    assert world.mind is not None
    update = machine.updates[world.mind]
    assert world.disk == world.mind, "what is done is not what is saved"
    assert update.candidate is None, f"no exit from {update}"
    if not world.was_damaged:
        assert world.serving == place(update.current), f"{world.serving} serves in {update}"
        assert world.files == {place(update.current), place(update.previous)} - {0}, f"leftovers {world.files} in {update}"
