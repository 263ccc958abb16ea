"""The update machine in every world that up to three mishaps can bring it to, and in long lives with many more.

No state is without an exit, and never are both slots bad; a violation is told with all that led to it.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

from agent.core.update import MAX_ATTEMPTS, MAX_STRIKES, Update
from contracts.lifecycle import Phase
from tests.sim.update_judge import judge, judge_end
from tests.sim.update_machine import RELEASES, Machine
from tests.sim.update_physics import Physics
from tests.sim.update_world import TERMS, World

ONE, TWO = RELEASES[1], RELEASES[2]
# Nothing that happens by itself goes on for longer.
MAX_MOMENTS = 200

# Each with what happened last, and to which world.
Worlds = dict[World, tuple[str, World] | None]

EMPTY = Update()
SETTLED = Update(phase=Phase.COMMITTED, wish=ONE, current=ONE, good=ONE, generation=1)
ON_TRIAL = replace(SETTLED, wish=TWO, current=TWO, previous=ONE, strikes=MAX_STRIKES - 1, has_left=True)
LAST_TRY = Update(
    phase=Phase.STAGING, wish=TWO, candidate=TWO, current=ONE, good=ONE, attempt=MAX_ATTEMPTS, generation=1, manifest_bytes=100
)

SHADOWED = replace(SETTLED, phase=Phase.SHADOW, wish=TWO, candidate=TWO, attempt=1, manifest_bytes=100, shadow=TERMS)


def world_of(machine: Machine, update: Update, faults: int, wishes: int) -> World:
    """Return a world in which an agent has just been started on a state."""
    files = {RELEASES.index(release) for release in (update.current, update.previous) if release}
    wish = (RELEASES.index(update.wish) * (1 if update.shadow is None else -1), 1)
    return World(
        disk=machine.number(update), mind=None, decided=None, deeds=(), events=(), files=frozenset(files), serving=0, is_full=False,
        wish=wish, old_wish=wish, faults=faults, wishes=wishes, blamed=frozenset(), was_damaged=False,
    )  # fmt: skip


def explore(machine: Machine, start: World) -> tuple[Worlds, int]:
    """Return all worlds that can come of one, each with how it came about, and how many moves there are between them."""
    physics, waiting, moves = Physics(machine), deque([start]), 0
    found: Worlds = {start: None}
    while waiting:
        world = waiting.popleft()
        for name, after in physics.moves(world):
            moves += 1
            if after not in found:
                found[after] = (name, world)
                waiting.append(after)
                with told_with(found, after):
                    judge(machine, after)
    return found, moves


@contextmanager
def told_with(found: Worlds, world: World) -> Iterator[None]:
    """Add to what is found wrong in a world how it came about."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{error}\nafter: {story(found, world)}") from error


def story(found: Worlds, world: World) -> str:
    """Return what happened up to a world."""
    names: list[str] = []
    came = found[world]
    while came is not None:
        names.append(came[0])
        came = found[came[1]]
    return " > ".join(reversed(names))


def check_exits(machine: Machine, worlds: Worlds, *, works: bool) -> int:
    """Follow every world until it stays as it is; return in how many moments all of them get there."""
    physics = Physics(machine)
    moments: dict[World, int] = {}
    for world in worlds:
        path: list[World] = []
        at: World | None = world
        while at is not None and at not in moments:
            path.append(at)
            with told_with(worlds, world):
                assert len(path) <= MAX_MOMENTS, f"no end of {machine.updates[world.disk]}"
                if at not in worlds:
                    judge(machine, at)
                at = physics.settled(at, works=works)
        if at is None:
            with told_with(worlds, world):
                judge_end(machine, path[-1])
        length = -1 if at is None else moments[at]
        moments.update(zip(reversed(path), count(length + 1), strict=False))
    return max(moments.values())


# How each kind of device starts, how much goes wrong, and how often the fleet changes its mind.
STARTS = (
    (EMPTY, 2, 1),
    (SETTLED, 2, 1),
    (SETTLED, 1, 2),
    (ON_TRIAL, 3, 0),
    (ON_TRIAL, 1, 1),
    (LAST_TRY, 3, 0),
    (LAST_TRY, 1, 1),
    (SHADOWED, 2, 1),
)


def test_every_world_has_an_exit_and_a_good_release(tell: Callable[[str], None]) -> None:
    machine, began_s = Machine(), time.process_time()
    states, transitions, longest = 0, 0, 0
    for update, faults, wishes in STARTS:
        worlds, moves = explore(machine, world_of(machine, update, faults, wishes))
        # Whether work succeeds or never ends.
        longest = max(longest, *(check_exits(machine, worlds, works=works) for works in (True, False)))
        states, transitions = states + len(worlds), transitions + moves
    tell(
        f"update machine: {states} states and {transitions} transitions explored ({len(machine.updates)} states of the machine itself), "
        f"each at rest within {longest} steps; {time.process_time() - began_s:.1f} s"
    )


LIVES = 400
MOMENTS = 150


def test_long_lives_with_many_mishaps_and_changes_of_mind_end_as_well() -> None:
    machine, chance = Machine(), random.Random(5)
    physics = Physics(machine)
    for _ in range(LIVES):
        world = world_of(machine, chance.choice((EMPTY, SETTLED, ON_TRIAL, LAST_TRY, SHADOWED)), faults=12, wishes=8)
        lived: Worlds = {world: None}
        for _ in range(MOMENTS):
            name, after = chance.choice(list(physics.moves(world)))
            lived.setdefault(after, (name, world))
            world = after
            with told_with(lived, world):
                judge(machine, world)
        check_exits(machine, lived, works=chance.random() < 0.5)
