"""Who is offered the release when: waves, gates, hours, rates, and what people do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.lifecycle import Phase
from contracts.messages import ReleaseRef
from contracts.pace import Hours
from fleet.core.gates.evidence import Metric
from fleet.core.gates.verdict import GatePolicy
from fleet.core.rollout.enlist import arranged, committed, joined, lost
from fleet.core.rollout.model import Member, Rollout, State
from fleet.core.rollout.plan import EVERYBODY, Plan, Size, Strategy, waves_of
from fleet.core.rollout.step import News, step
from fleet.errors.rollouts import ApprovalError, RolloutStateError
from tests.sim.rollout_world import NEW, OLD, START, World

RIVAL = ReleaseRef(model="digits", release=3, manifest_sha256="3" * 64)


def percent(*amounts: float) -> tuple[Size, ...]:
    return tuple(Size(amount, is_percent=True) for amount in amounts)


GATED = Plan(Strategy.CANARY, percent(10, 50, 100), gate=GatePolicy({Metric.ERRORS: 0.01}), soak_s=10, patience_s=100, takes_back=True)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True), st.integers(1, 500))
def test_waves_reach_no_more_than_their_share_and_at_last_everybody(percents: list[int], devices: int) -> None:
    sizes = (*percent(*sorted(percents)), EVERYBODY)
    waves = waves_of(sizes, devices)

    assert len(waves) == devices
    assert waves == sorted(waves)
    for wave, size in enumerate(sizes):
        assert sum(found <= wave for found in waves) <= max(1, size.amount * devices / 100)
    assert waves[0] == 0


def test_waves_are_counts_where_counts_were_asked_for() -> None:
    sizes = (Size(1, is_percent=False), Size(5, is_percent=False), EVERYBODY)

    assert waves_of(sizes, 8) == [0, 1, 1, 1, 1, 2, 2, 2]
    assert waves_of(sizes, 3) == [0, 1, 1]


def test_a_wave_follows_when_all_of_the_one_before_have_an_outcome_and_were_watched() -> None:
    world = World(20, Plan(Strategy.PHASED, percent(10, 50, 100), soak_s=60))
    world.turn()
    assert world.director.ever_offered == set(list(world.rollout.members)[:2])

    world.everybody()
    world.turn()
    assert world.rollout.wave == 0
    world.turn(60)
    assert len(world.director.ever_offered) == 10
    world.everybody()
    world.turn()
    world.turn(60)
    world.everybody()
    world.turn()
    assert world.rollout.ended_at is None
    world.turn(60)

    assert world.rollout.state is State.SUCCEEDED
    assert [entry.act for entry in world.kept.history] == ["wave", "wave", "end"]


def test_a_bad_canary_is_stopped_by_the_gate_and_taken_back_at_once() -> None:
    world = World(100, GATED, bad=True)
    world.turn()
    world.everybody()
    world.turn()
    world.turn(5)

    assert (world.rollout.state, world.rollout.wave) == (State.FAILED, 0)
    assert world.rollout.state_reason.startswith("gate: errors ")
    assert NEW not in world.director.wishes.values()
    assert len(world.director.ever_offered) == 10


def test_a_good_canary_passes_the_gate() -> None:
    world = World(100, GATED)
    world.turn()
    for _ in range(20):
        world.everybody()
        world.turn(5)

    assert world.rollout.state is State.SUCCEEDED


def test_a_gate_without_evidence_asks_a_person_who_may_go_on_without_it() -> None:
    world = World(2, GATED)  # one canary, and one device to compare it with: that says nothing
    world.turn()
    world.everybody()
    world.turn()
    world.turn(111)
    assert world.rollout.state is State.PAUSED
    assert world.rollout.state_reason.startswith("gate: no answer within 100 s: errors: expected more devices")

    world.order("promote")
    world.turn()
    assert world.rollout.wave > 0
    # And the history says who did it, and what the gate had said
    pause, promote, wave = world.kept.history[-3:]
    assert [(line.act, line.actor) for line in (pause, promote, wave)] == [("pause", "fleet"), ("promote", "bert"), ("wave", "bert")]
    assert wave.text.startswith("opened wave 2 of 3: by bert; the gate said: errors: expected more devices")


def test_too_many_lost_devices_stop_it_and_everybody_under_way_is_withdrawn() -> None:
    world = World(40, Plan(Strategy.PHASED, percent(50, 100), threshold=Size(5, is_percent=True)))
    world.turn()
    first = list(world.rollout.members)
    for name in first[:2]:
        world.follow(name)
        world.work(name, Phase.ROLLED_BACK)
        world.speak(name)
    world.turn()

    assert (world.rollout.state, world.rollout.state_reason) == (State.FAILED, "2 rolled back: expected at most 1 of 20 lost")
    assert NEW not in world.director.wishes.values()
    assert world.rollout.members[first[30]].phase is Phase.CANCELLED


def test_a_loss_within_the_threshold_is_told_and_no_failure() -> None:
    world = World(40, Plan(threshold=Size(5, is_percent=True)))
    world.turn()
    first = next(iter(world.rollout.members))
    world.follow(first)
    world.work(first, Phase.ROLLED_BACK)
    world.everybody()
    world.turn()
    world.turn()

    assert (world.rollout.state, world.rollout.state_reason) == (State.SUCCEEDED, "1 rolled back")


def test_devices_are_offered_it_in_their_own_night() -> None:
    zones = {"tokyo": ZoneInfo("Asia/Tokyo"), "lyon": ZoneInfo("Europe/Paris"), "here": timezone.utc}
    members = {name: Member(name, Phase.PLANNED, OLD, NEW, zone=zone) for name, zone in zones.items()}
    plan = Plan(hours=Hours(time(22), time(6)))
    begun = Rollout(1, NEW, "all", plan, "anna", START, members)

    def offered(moment: datetime) -> set[str]:
        found = step(begun, News(), moment).members.values()
        return {member.device for member in found if member.phase is Phase.OFFERED}

    assert offered(datetime(2026, 1, 1, 12, tzinfo=timezone.utc)) == set()
    assert offered(datetime(2026, 1, 1, 13, tzinfo=timezone.utc)) == {"tokyo"}
    assert offered(datetime(2026, 1, 1, 21, tzinfo=timezone.utc)) == {"lyon"}
    assert offered(datetime(2026, 1, 1, 22, tzinfo=timezone.utc)) == {"lyon", "here"}


def test_a_rate_holds_over_a_restart() -> None:
    world = World(20, Plan(rate_per_min=3))
    for _ in range(10):
        world.turn(5)
        world.restart()
    assert len(world.director.ever_offered) == 3

    world.turn(15)
    assert len(world.director.ever_offered) == 6


def test_it_waits_for_a_second_person() -> None:
    world = World(3, Plan(needs_approval=True), state="waiting")
    world.turn()
    assert world.director.ever_offered == set()

    with pytest.raises(ApprovalError, match="found token anna, which started it"):
        world.order("approve", actor="anna")
    world.order("approve", actor="bert")
    world.turn()
    assert len(world.director.ever_offered) == 3
    with pytest.raises(RolloutStateError, match="expected one that is waiting, to be approved, found running"):
        world.order("approve", actor="bert")


def test_a_pause_offers_nothing_more_and_who_was_offered_it_goes_on() -> None:
    world = World(20, Plan(Strategy.PHASED, percent(10, 100)))
    world.turn()
    world.order("pause")
    world.everybody()
    world.turn(100)
    assert sum(member.phase is Phase.COMMITTED for member in world.rollout.members.values()) == len(world.director.ever_offered) == 2

    world.order("resume")
    world.turn()
    assert len(world.director.ever_offered) == 20


def test_an_abort_withdraws_only_devices_that_have_not_begun_to_stage() -> None:
    world = World(4, Plan())
    world.turn()
    done, staging, fetching, untouched = world.rollout.members
    world.follow(done)
    for _ in range(4):
        world.work(done)
    world.follow(staging)
    world.work(staging)
    world.follow(fetching)
    for name in (done, staging, fetching):
        world.speak(name)
    world.turn()
    world.order("abort")
    world.turn()

    assert {name for name, wish in world.director.wishes.items() if wish == NEW} == {done, staging}
    assert (world.rollout.state, world.rollout.ended_at) == (State.ABORTED, None)
    for _ in range(3):
        world.work(staging)
    world.speak(staging)
    world.turn()
    phases = {name: member.phase for name, member in world.rollout.members.items()}
    assert phases == {done: Phase.COMMITTED, staging: Phase.COMMITTED, fetching: Phase.CANCELLED, untouched: Phase.CANCELLED}
    assert world.rollout.ended_at is not None


def test_a_server_that_is_killed_before_or_after_it_told_devices_tells_them_again() -> None:
    for dies in ("before", "after"):
        world = World(5, Plan())
        world.turn(dies=dies)
        world.turn()
        world.everybody()
        world.turn()
        assert world.rollout.state is State.SUCCEEDED
        assert set(world.director.generations.values()) == {2}


def test_a_split_gives_each_half_its_release_and_ends_with_what_the_evidence_says() -> None:
    plan = Plan(Strategy.SPLIT, gate=GatePolicy({Metric.ERRORS: 0.01}), hold_s=60)
    world = World(41, plan, bad=True)
    halves = arranged(world.rollout.members.values(), plan, NEW.manifest_sha256, RIVAL)
    world.kept.rollout = replace(world.rollout, members=halves)
    world.restart()
    world.turn()
    assert sum(wish == NEW for wish in world.director.wishes.values()) == 21
    assert sum(wish == RIVAL for wish in world.director.wishes.values()) == 20

    world.everybody()
    world.turn()
    world.turn(30)
    assert world.rollout.ended_at is None
    world.turn(31)
    assert world.rollout.state is State.SUCCEEDED
    assert world.rollout.state_reason.startswith("errors 20.")
    assert {*world.director.wishes.values()} == {NEW, RIVAL}


def test_a_rollback_means_those_that_have_it_and_a_retry_those_that_were_lost() -> None:
    world = World(3, Plan())
    world.turn()
    first = next(iter(world.rollout.members))
    world.follow(first)
    world.work(first, Phase.FAILED)
    world.everybody()
    world.turn()
    world.turn()

    assert lost(world.rollout) == {first: NEW}
    assert committed(world.rollout) == dict.fromkeys(set(world.rollout.members) - {first}, OLD)


@pytest.mark.parametrize("takes_newcomers", [True, False])
def test_a_device_that_is_added_meanwhile_gets_it_with_the_last_wave_where_that_was_chosen(takes_newcomers: bool) -> None:
    world = World(10, Plan(Strategy.PHASED, percent(10, 100), takes_newcomers=takes_newcomers))
    world.turn()
    world.add("late")
    world.turn(40)
    assert world.director.ever_offered == set(list(world.rollout.members)[:1])

    for _ in range(3):
        world.everybody()
        world.turn(40)

    assert world.rollout.state is State.SUCCEEDED
    assert (world.devices["late"].current == NEW) is takes_newcomers


def test_newcomers_join_the_last_wave() -> None:
    world = World(10, Plan(Strategy.PHASED, percent(10, 100)))
    more = joined(world.rollout, [Member("late", Phase.PLANNED, None, NEW), Member("pi-0", Phase.PLANNED, None, NEW)])

    assert list(more.members)[-1] == "late"
    assert (more.members["late"].wave, len(more.members)) == (1, 11)
    offered = step(more, News(), START + timedelta(seconds=1))
    assert offered.members["late"].phase is Phase.PLANNED
