"""How a rollout follows what devices report."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from contracts.lifecycle import Phase
from contracts.messages import ModelReport, Outcome, ReleaseRef
from fleet.core.rollout import Member, Rollout, Standing, State, Withdraw, offered, offers, plan, step

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
NEW = ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64)
OLD = ReleaseRef(model="digits", release=1, manifest_sha256="1" * 64)


def rollout(*devices: str, deadline_s: float = 60) -> Rollout:
    members = tuple(Member(device, Phase.PLANNED, OLD) for device in devices)
    started = Rollout(1, NEW, "all", deadline_s, NOW, members)
    return offered(started, dict.fromkeys(devices, 7), NOW)


def report(phase: Phase, current: ReleaseRef = OLD, **more: object) -> ModelReport:
    return ModelReport(phase=phase, current=current, **more)


def ended(result: Phase, generation: int = 7) -> Standing:
    return Standing(generation, report(result, last=Outcome(release=NEW, result=result, reason="why", at=NOW)))


COMMITTED = Standing(7, report(Phase.COMMITTED, current=NEW))


def test_planned_devices_are_offered_the_release_and_those_without_an_artifact_are_not() -> None:
    members = (Member("a", Phase.PLANNED, None), Member("b", Phase.CANCELLED, None, reason="no artifact"))
    started = Rollout(1, NEW, "all", 60, NOW, members)

    assert [offer.device for offer in offers(started)] == ["a"]
    after = offered(started, {"a": 3}, NOW)
    assert [(member.phase, member.generation) for member in after.members] == [(Phase.OFFERED, 3), (Phase.CANCELLED, 0)]


def test_a_rollout_succeeds_when_every_device_runs_the_release() -> None:
    after, withdrawals = step(rollout("a", "b"), {"a": COMMITTED, "b": COMMITTED}, NOW)

    assert (after.state, after.ended_at, withdrawals) == (State.SUCCEEDED, NOW, ())


def test_the_digest_a_device_runs_counts_even_when_its_generation_was_never_heard() -> None:
    after, _ = step(rollout("a"), {"a": replace(COMMITTED, generation=0)}, NOW)

    assert after.state is State.SUCCEEDED


def test_a_device_on_probation_has_not_committed() -> None:
    after, _ = step(rollout("a"), {"a": Standing(7, report(Phase.PROBATION, current=NEW, candidate=NEW))}, NOW)

    assert (after.state, after.members[0].phase) == (State.RUNNING, Phase.PROBATION)


@pytest.mark.parametrize("result", [Phase.ROLLED_BACK, Phase.FAILED, Phase.REJECTED])
def test_one_lost_device_fails_the_rollout_and_only_that_device_is_withdrawn(result: Phase) -> None:
    after, withdrawals = step(rollout("a", "b"), {"a": COMMITTED, "b": ended(result)}, NOW)

    assert after.state is State.FAILED
    assert after.state_reason == f"1 {result.value.replace('_', ' ')}"
    assert withdrawals == (Withdraw("b", OLD),)
    assert after.members[1].reason == "why"


def test_a_lost_device_does_not_end_the_rollout_while_another_is_under_way() -> None:
    working = Standing(7, report(Phase.FETCHING, candidate=NEW, progress=0.25))

    after, withdrawals = step(rollout("a", "b"), {"a": working, "b": ended(Phase.FAILED)}, NOW)

    assert (after.state, withdrawals) == (State.RUNNING, ())
    assert (after.members[0].phase, after.members[0].progress) == (Phase.FETCHING, 0.25)


def test_an_outcome_of_an_older_wish_says_nothing() -> None:
    after, _ = step(rollout("a"), {"a": ended(Phase.ROLLED_BACK, generation=6)}, NOW)

    assert after.members[0].phase is Phase.OFFERED


def test_the_outcome_of_an_earlier_attempt_at_the_same_release_says_nothing() -> None:
    before = rollout("a")
    before = replace(before, members=(replace(before.members[0], earlier_outcome_at=NOW),))

    assert step(before, {"a": ended(Phase.ROLLED_BACK)}, NOW)[0] == before


def test_work_on_another_release_says_nothing() -> None:
    after, _ = step(rollout("a"), {"a": Standing(7, report(Phase.FETCHING, candidate=OLD))}, NOW)

    assert after.members[0].phase is Phase.OFFERED


def test_a_silent_device_has_failed_after_its_deadline() -> None:
    before = rollout("a", deadline_s=60)

    assert step(before, {}, NOW + timedelta(seconds=60))[0] == before
    after, withdrawals = step(before, {}, NOW + timedelta(seconds=61))
    assert (after.state, withdrawals) == (State.FAILED, (Withdraw("a", OLD),))
    assert after.members[0].reason == "no outcome within 60 s; it was offered"


def test_a_word_in_time_counts_even_when_it_is_read_late() -> None:
    after, _ = step(rollout("a", deadline_s=60), {"a": COMMITTED}, NOW + timedelta(days=1))

    assert after.state is State.SUCCEEDED


def test_an_ended_rollout_stays_as_it_ended() -> None:
    over, _ = step(rollout("a"), {"a": ended(Phase.FAILED)}, NOW)

    assert step(over, {"a": COMMITTED}, NOW + timedelta(days=1)) == (over, ())


def test_the_order_of_devices_depends_on_the_release_alone() -> None:
    members = [Member(f"pi-{number}", Phase.PLANNED, None) for number in range(20)]

    assert plan(NEW, members) == plan(NEW, reversed(members))
    assert plan(NEW, members) != plan(OLD, members)
