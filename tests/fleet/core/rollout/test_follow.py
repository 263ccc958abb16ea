"""How a rollout follows what devices report."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.lifecycle import Phase
from contracts.messages import ModelReport, Outcome, ReleaseRef
from fleet.core.rollout.enlist import arranged
from fleet.core.rollout.model import Errand, Member, Rollout, Standing, State, told
from fleet.core.rollout.plan import Plan
from fleet.core.rollout.step import News, step
from tests.sim.rollout_world import NEW, OLD, START

NOW = START


def rollout(*devices: str, deadline_s: float = 60, contact_s: float = 600, **more: object) -> Rollout:
    """Return one whose devices were all offered the release."""
    members = {device: Member(device, Phase.PLANNED, OLD, NEW) for device in devices}
    begun = Rollout(1, NEW, "all", Plan(deadline_s=deadline_s, contact_s=contact_s, **more), "anna", NOW, members)  # type: ignore[arg-type]  # each test gives the plan's own fields
    return told(step(begun, News(), NOW), dict.fromkeys(devices, 7))


def report(phase: Phase, current: ReleaseRef | None = OLD, **more: object) -> ModelReport:
    return ModelReport(phase=phase, current=current, **more)


def ended(result: Phase, generation: int = 7) -> Standing:
    return Standing(generation, report(result, last=Outcome(release=NEW, result=result, reason="why", at=NOW)))


def after(before: Rollout, seconds: float = 0, /, **standings: Standing) -> Rollout:
    return step(before, News(standings), NOW + timedelta(seconds=seconds))


COMMITTED = Standing(7, report(Phase.COMMITTED, current=NEW))


def test_a_rollout_succeeds_when_every_device_runs_the_release() -> None:
    found = after(rollout("a", "b"), a=COMMITTED, b=COMMITTED)

    assert (found.state, found.ended_at, found.errands()) == (State.SUCCEEDED, NOW, [])


def test_the_digest_a_device_runs_counts_even_when_its_generation_was_never_heard() -> None:
    assert after(rollout("a"), a=replace(COMMITTED, generation=0)).state is State.SUCCEEDED


def test_a_device_on_probation_has_not_committed() -> None:
    found = after(rollout("a"), a=Standing(7, report(Phase.PROBATION, current=NEW, candidate=NEW)))

    assert (found.state, found.members["a"].phase) == (State.RUNNING, Phase.PROBATION)


@pytest.mark.parametrize("result", [Phase.ROLLED_BACK, Phase.FAILED, Phase.REJECTED])
def test_a_lost_device_alone_is_wished_what_it_ran_at_once_and_fails_the_rollout_at_its_end(result: Phase) -> None:
    found = after(rollout("a", "b"), a=COMMITTED, b=ended(result))

    assert [(member.device, member.errand, member.reason) for member in found.errands()] == [("b", Errand.RETURN, "why")]
    assert found.state is State.RUNNING
    over = after(told(found, {"b": 8}))
    assert (over.state, over.state_reason) == (State.FAILED, f"1 {result.value.replace('_', ' ')}")


def test_an_outcome_of_an_older_wish_says_nothing() -> None:
    assert after(rollout("a"), a=ended(Phase.ROLLED_BACK, generation=6)).members["a"].phase is Phase.OFFERED


def test_the_outcome_of_an_earlier_attempt_at_the_same_release_says_nothing() -> None:
    before = rollout("a")
    before = before.having([replace(before.members["a"], earlier_outcome_at=NOW)])

    assert after(before, a=ended(Phase.ROLLED_BACK)).members["a"].phase is Phase.OFFERED


def test_work_on_another_release_says_nothing() -> None:
    assert after(rollout("a"), a=Standing(7, report(Phase.FETCHING, candidate=OLD))).members["a"].phase is Phase.OFFERED


def test_an_offer_that_was_not_told_yet_is_not_answered_by_an_older_word() -> None:
    members = {"a": Member("a", Phase.PLANNED, OLD, NEW)}
    offered = step(Rollout(1, NEW, "all", Plan(), "anna", NOW, members), News(), NOW)

    assert after(offered, a=ended(Phase.ROLLED_BACK, generation=3)).members["a"].phase is Phase.OFFERED


def test_a_device_that_was_met_is_lost_at_its_deadline() -> None:
    met = after(rollout("a", deadline_s=60), a=Standing(6, report(Phase.COMMITTED)))

    assert after(met, 60).members["a"].phase is Phase.OFFERED
    lost = after(met, 61).members["a"]
    assert (lost.phase, lost.reason) == (Phase.FAILED, "no outcome within 60 s; it was offered")


def test_a_device_without_a_link_is_not_lost_and_is_no_longer_waited_for_after_a_time() -> None:
    away = after(rollout("a", "b", contact_s=600), a=COMMITTED, b=Standing(6, report(Phase.COMMITTED), is_online=False))

    assert after(away, 599).state is State.RUNNING
    over = after(away, 601)
    assert (over.state, over.state_reason) == (State.SUCCEEDED, "1 waiting for contact")
    assert over.errands() == []


def test_a_device_that_comes_back_in_time_has_its_whole_deadline() -> None:
    back = after(rollout("a", deadline_s=60), 500, a=Standing(6, report(Phase.COMMITTED)))

    assert after(back, 559).members["a"].phase is Phase.OFFERED
    assert after(back, 561).members["a"].phase is Phase.FAILED


def test_a_missing_device_that_comes_back_before_the_end_counts_again() -> None:
    missing = after(rollout("a", "b", contact_s=60), 61)
    assert missing.members["a"].is_missing
    again = step(replace(missing, state=State.RUNNING, ended_at=None), News({"a": COMMITTED}), NOW)

    assert (again.members["a"].phase, again.members["a"].is_missing) == (Phase.COMMITTED, False)


def test_a_rollout_in_which_nobody_was_met_has_failed() -> None:
    over = after(rollout("a", contact_s=60), 61)

    assert (over.state, over.state_reason) == (State.FAILED, "1 waiting for contact")


def test_a_word_in_time_counts_even_when_it_is_read_late() -> None:
    assert after(rollout("a", deadline_s=60), 86400, a=COMMITTED).state is State.SUCCEEDED


def test_a_release_that_was_committed_and_left_again_is_lost() -> None:
    before = rollout("a", "b")
    committed = after(before, a=COMMITTED)
    left = Standing(7, report(Phase.ROLLED_BACK, last=Outcome(release=NEW, result=Phase.ROLLED_BACK, reason="crashes", at=NOW)))

    assert after(committed, a=left).members["a"].phase is Phase.ROLLED_BACK


def test_a_device_that_is_to_run_nothing_is_done_when_it_runs_nothing() -> None:
    members = {"a": Member("a", Phase.PLANNED, NEW, None)}
    begun = told(step(Rollout(1, NEW, "all", Plan(), "anna", NOW, members), News(), NOW), {"a": 7})

    assert after(begun, a=Standing(7, report(Phase.COMMITTED, current=NEW))).state is State.RUNNING
    assert after(begun, a=Standing(7, None)).state is State.SUCCEEDED


def test_an_ended_rollout_stays_as_it_ended() -> None:
    over = after(told(after(rollout("a"), a=ended(Phase.FAILED)), {"a": 8}))

    assert over.ended_at is not None
    assert after(over, 86400, a=COMMITTED) is over


def test_the_same_news_twice_change_nothing() -> None:
    once = after(rollout("a", "b"), a=COMMITTED)

    assert after(once, a=COMMITTED) is once


def test_the_order_of_devices_depends_on_the_release_alone() -> None:
    members = [Member(f"pi-{number}", Phase.PLANNED, None, NEW) for number in range(20)]

    assert list(arranged(members, Plan(), "a")) == list(arranged(reversed(members), Plan(), "a"))
    assert list(arranged(members, Plan(), "a")) != list(arranged(members, Plan(), "b"))
