"""A rollout by shadow: nobody serves the release before its agreement is known, and nobody does when it disagrees."""

from __future__ import annotations

from dataclasses import replace

from contracts.lifecycle import Phase
from contracts.shadow import ShadowTerms
from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import GatePolicy
from fleet.core.rollout.model import Errand, State
from fleet.core.rollout.plan import Plan, Size, Strategy
from fleet.core.rollout.step import News, step
from tests.sim.rollout_world import World

HALVES = tuple(Size(share, is_percent=True) for share in (50, 100))
PLAN = Plan(
    Strategy.SHADOW,
    HALVES,
    Size(5, is_percent=True),
    GatePolicy({Metric.DISAGREEMENT: 0.02}),
    shadow=ShadowTerms(share=0.05),
    deadline_s=60,
)
DEVICES = 12


def in_shadow(world: World) -> World:
    """Let the open wave come into the shadow."""
    world.turn()
    world.everybody()
    world.turn()
    return world


def phases(world: World, wave: int) -> set[Phase]:
    return {member.phase for member in world.rollout.members.values() if member.wave == wave}


def test_a_candidate_that_agrees_goes_on_in_earnest_wave_after_wave() -> None:
    # Given a wave that runs the release in shadow, and nobody serves it
    world = in_shadow(World(DEVICES, PLAN))
    assert (phases(world, 0), phases(world, 1)) == ({Phase.SHADOW}, {Phase.PLANNED})
    assert world.director.ever_offered == set()
    # When its agreement is known
    world.turn(6)
    # Then the very same devices are wished it
    assert phases(world, 0) == {Phase.OFFERED}
    first = {name for name, member in world.rollout.members.items() if member.wave == 0}
    assert world.director.ever_offered == first
    world.everybody()
    world.turn()
    assert phases(world, 0) == {Phase.COMMITTED}
    # And the next wave goes the same way
    in_shadow(world)
    assert phases(world, 1) == {Phase.SHADOW}
    assert world.director.ever_offered == first
    world.turn(6)
    world.everybody()
    world.turn()
    assert (world.rollout.state, world.rollout.proven) == (State.SUCCEEDED, 2)
    assert [entry.act for entry in world.kept.history] == ["prove", "wave", "prove", "end"]
    assert "disagreement 0.20 %" in world.kept.history[0].text


def test_a_candidate_that_disagrees_is_taken_back_and_never_served() -> None:
    world = in_shadow(World(DEVICES, PLAN, bad=True))
    world.turn(6)
    world.turn()

    assert (world.rollout.state, world.director.ever_offered, world.director.shadows) == (State.FAILED, set(), {})
    assert world.rollout.state_reason.startswith("gate: disagreement 40.00 %")
    assert phases(world, 0) | phases(world, 1) == {Phase.CANCELLED}


def test_time_in_shadow_is_no_devices_fault_but_time_on_the_way_there_is() -> None:
    world = World(DEVICES, replace(PLAN, gate=replace_gate(1e-9), patience_s=1000))
    in_shadow(world)
    world.turn(500)
    assert phases(world, 0) == {Phase.SHADOW}
    # Without an answer of the gate a person is asked, who may go on
    world.turn(1000)
    assert world.rollout.state.value == "paused"
    assert world.rollout.state_reason.startswith("gate: no answer within 1000 s: ")
    world.order("promote")
    assert [(line.act, line.actor) for line in world.kept.history[-2:]] == [("promote", "bert"), ("prove", "bert")]
    assert world.kept.history[-1].text.startswith("wave 1 serves after its shadow: by bert; the gate said: ")
    world.turn()
    assert phases(world, 0) == {Phase.OFFERED}
    world.everybody()
    world.turn()
    assert phases(world, 0) == {Phase.COMMITTED}
    assert phases(world, 1) == {Phase.OFFERED}
    # A device that was met and does not get there in time is lost
    for name in world.devices:
        world.follow(name)
        world.speak(name)
    world.turn()
    world.turn(61)
    assert phases(world, 1) == {Phase.FAILED}
    assert world.rollout.state is State.FAILED


def replace_gate(limit: float) -> GatePolicy:
    """Return a gate that has no answer yet."""
    return GatePolicy({Metric.DISAGREEMENT: limit, Metric.CONFIDENCE: 0.05})


def test_an_abort_takes_shadows_back_and_lets_who_serves_it_finish() -> None:
    world = in_shadow(World(DEVICES, PLAN))
    world.order("abort")
    world.turn()

    assert phases(world, 0) | phases(world, 1) == {Phase.CANCELLED}
    assert (world.director.shadows, world.director.ever_offered) == ({}, set())


def test_a_crash_in_shadow_loses_the_device_and_a_server_that_dies_tells_again() -> None:
    world = World(DEVICES, replace(PLAN, threshold=Size(50, is_percent=True)))
    world.turn(dies="before")
    world.turn(dies="after")
    in_shadow(world)
    name = next(iter(world.rollout.members))
    world.work(name, Phase.ROLLED_BACK)
    world.speak(name)
    world.turn()
    assert world.rollout.members[name].phase is Phase.ROLLED_BACK
    world.turn(6)
    assert phases(world, 0) == {Phase.ROLLED_BACK, Phase.OFFERED}
    assert name not in world.director.shadows


def test_a_device_without_a_release_to_be_compared_with_waits_for_the_others() -> None:
    world = World(4, replace(PLAN, waves=(Size(100, is_percent=True),)))
    bare = replace(next(iter(world.rollout.members.values())), baseline=None)
    rollout = step(world.rollout.having([bare]), News(), world.now)

    assert rollout.members[bare.device].phase is Phase.PLANNED
    assert {member.errand for member in rollout.errands()} == {Errand.SHADOW}
    later = step(replace(rollout, proven=1), News(), world.now)
    assert later.members[bare.device].errand is Errand.OFFER


def test_a_device_that_says_it_is_still_in_shadow_after_its_offer_is_not_offered_it_for_ever() -> None:
    world = in_shadow(World(DEVICES, PLAN))
    world.turn(6)
    # It has read the wish, and does nothing about it
    for name, device in world.devices.items():
        device.generation = world.director.generations.get(name, 1)
        world.speak(name)
    world.turn()
    world.turn(61)

    assert Phase.SHADOW not in phases(world, 0)
    assert world.rollout.state is State.FAILED
