"""What may happen next in a small world: what its agent does, and everything that may go wrong with it."""

from __future__ import annotations

from collections.abc import Iterator

from agent.control.workbench import INTERRUPTIBLE
from agent.core.update import (
    Crashed,
    Damaged,
    Disproved,
    Do,
    Done,
    Effect,
    Failed,
    Steady,
    Unsuitable,
    Waited,
    Wished,
    leave,
    limit_s,
)
from agent.core.update.inbox import filed, without_work
from contracts.lifecycle import Phase
from tests.sim.update_judge import judge_save
from tests.sim.update_machine import PHASE_OF, RELEASES, Machine, place
from tests.sim.update_world import IN_SHADOW, World, died, wished

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
