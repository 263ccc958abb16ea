"""The update machine, tried in the states that chains of events lead to with every event there is; mishaps around it: test_update_world."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import pytest

from agent.core.update import (
    MAX_ATTEMPTS,
    MAX_CRASHES,
    MAX_STRIKES,
    Crashed,
    Damaged,
    Do,
    Done,
    Effect,
    Event,
    Failed,
    Progressed,
    Steady,
    Unsuitable,
    Update,
    Waited,
    Wished,
    leave,
    limit_s,
    next_tick_s,
    resume,
    step,
)
from agent.core.update.inbox import filed, without_work
from agent.core.update.waiting import NOTES, RESTART_S, RETRY_AFTER_S
from contracts.lifecycle import DEADLINES, EDGES, FINAL, IN_PROGRESS, Party, Phase
from contracts.shadow import ShadowTerms
from tests.sim.update_machine import Ref

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ONE, TWO, THREE = (Ref(model="digits", release=number, manifest_sha256=f"{number:064x}") for number in (1, 2, 3))
FOR_EVER_S = 1e9
TERMS = ShadowTerms(share=0.05, life_s=1000.0)

EVENTS: tuple[Event, ...] = (
    Wished(None),
    *(Wished(release, 100) for release in (ONE, TWO)),
    Wished(TWO, 100, generation=1),
    Wished(TWO, 100, generation=1, shadow=TERMS),
    *(kind for phase in IN_PROGRESS for kind in (Done(TWO, phase), Failed(TWO, phase, "broken"), Progressed(TWO, phase))),
    *(Done(ONE, phase) for phase in IN_PROGRESS),
    Unsuitable(TWO, "not for us"),
    Crashed(TWO, "signal 11"),
    Steady(ONE),
    Damaged(TWO, ONE),
    Waited(FOR_EVER_S),
)


@dataclass(frozen=True)
class Taken:
    """One step."""

    before: Update
    event: Event
    after: Update
    effects: list[Effect]


def reachable() -> tuple[set[Update], list[Taken]]:
    """Return every state that some chain of events and restarts leads to, but for how much of a wait is over, and all steps from there."""
    found, waiting, taken = {Update()}, deque([Update()]), []
    while waiting:
        update = waiting.popleft()
        steps = [Taken(update, event, *step(update, event, NOW)) for event in EVENTS]
        taken += steps
        for after in (resume(update, NOW)[0], *(one.after for one in steps)):
            fresh = replace(after, waited_s=0.0)
            if fresh not in found:
                found.add(fresh)
                waiting.append(fresh)
    return found, taken


# Exploring raises ForbiddenEdgeError should the machine ever leave the life cycle's edges.
STATES, STEPS = reachable()


def lives(before: Update, after: Update) -> list[tuple[Phase, Phase]]:
    """Return the edges that lead from one state to the next: the end of one release's life, the start of another's."""
    edges = []
    told = after.last if after.last is not before.last else None
    if told is not None and before.candidate is not None and told.release == before.candidate:
        edges.append((before.phase, told.result))
        before = Update()
    elif told is not None and told.release == before.current and told.result is Phase.ROLLED_BACK:
        edges.append((Phase.COMMITTED, told.result))
        before = Update()  # whatever else was under way starts over
    elif told is not None:
        edges.append((Phase.OFFERED, told.result))
    is_same_life = after.candidate == before.candidate
    if after.candidate is not None:
        edges.append((before.phase if is_same_life and after.phase is not Phase.FETCHING else Phase.OFFERED, after.phase))
    return [(source, target) for source, target in edges if source is not target]


def test_every_step_from_every_state_is_an_edge_of_the_agent() -> None:
    assert len(STATES) > 5000
    taken = {edge for one in STEPS for edge in lives(one.before, one.after)}
    assert {edge: EDGES.get(edge) for edge in taken} == dict.fromkeys(taken, Party.AGENT)
    # And every edge that is the agent's is taken by some step.
    assert taken == {edge for edge, party in EDGES.items() if party is Party.AGENT}


def test_the_committed_counter_shrinks_only_by_a_roll_back_with_a_reason_or_for_a_damaged_disk() -> None:
    shrunk = [
        one
        for one in STEPS
        if one.before.current is not None
        and not isinstance(one.event, Damaged)
        and (one.after.current is None or one.after.current.release < one.before.current.release)
    ]
    returns = [one for one in shrunk if one.after.last is not None and one.after.last.result is Phase.COMMITTED]
    assert returns
    assert all(one.after.current == one.before.previous == one.before.wish for one in returns)
    fallbacks = [one for one in shrunk if one not in returns]
    assert fallbacks
    for one in fallbacks:
        assert one.after.last is not None
        assert (one.after.last.release, one.after.last.result) == (one.before.current, Phase.ROLLED_BACK)
        assert "before it had served steadily" in one.after.last.reason


def test_a_candidate_is_there_exactly_while_an_update_is_under_way_and_then_its_time_is_limited() -> None:
    for update in STATES:
        assert (update.candidate is not None) is (update.phase in IN_PROGRESS)
        assert update.candidate is None or limit_s(update) is not None


def test_every_update_under_way_has_work_and_every_end_has_its_deed() -> None:
    ends = {Phase.COMMITTED: Do.COMMIT, Phase.ROLLED_BACK: Do.ROLL_BACK}
    for one in STEPS:
        before, after = one.before, one.after
        if after.last != before.last and after.last is not None:
            assert Effect(ends.get(after.last.result, Do.DISCARD), after.last.release) in one.effects
        if after.candidate is not None and (after.phase, after.candidate) != (before.phase, before.candidate):
            assert one.effects[-1].release == after.candidate


def test_a_repeated_event_changes_nothing_the_second_time_save_a_crash_and_time() -> None:
    for one in STEPS:
        if not isinstance(one.event, Crashed | Waited):
            assert step(one.after, one.event, NOW) == (one.after, [])


def test_time_alone_ends_every_phase_in_the_outcome_of_its_deadline() -> None:
    for update in STATES:
        if update.candidate is not None:
            after, effects = step(update, Waited(DEADLINES[update.phase].after_s), NOW)
            assert after.last is not None
            assert (after.last.release, after.last.result) == (update.candidate, DEADLINES[update.phase].outcome)
            assert f"while {update.phase.value} within" in after.last.reason
            assert effects


def test_time_is_summed_up_and_progress_starts_it_anew_only_where_the_table_says_so() -> None:
    for phase in IN_PROGRESS:
        update = Update(phase=phase, wish=ONE, candidate=ONE, attempt=1)
        limit = DEADLINES[phase].after_s
        waited, effects = step(update, Waited(limit * 0.75), NOW)
        assert (waited.waited_s, effects) == (limit * 0.75, [])
        assert (next_tick_s(update), next_tick_s(waited)) == (limit / NOTES, limit / NOTES)
        after = step(step(waited, Progressed(ONE, phase), NOW)[0], Waited(limit / 2), NOW)[0]
        assert (after.candidate is not None) is DEADLINES[phase].is_renewed


def test_a_restart_always_leads_to_an_end_in_bounded_tries() -> None:
    for update in STATES:
        tries = 0
        while update.phase in IN_PROGRESS:
            # The agent dies while the candidate is tested, each time.
            update, _ = resume(update, NOW)
            for phase in (Phase.FETCHING, Phase.STAGING):
                if update.candidate is not None:
                    update, _ = step(update, Done(update.candidate, phase), NOW)
            tries += 1
            assert tries <= MAX_ATTEMPTS + 1
        assert update.phase in FINAL | {Phase.OFFERED}


def test_a_download_resumes_for_as_long_as_it_may_wait_and_no_longer() -> None:
    update, _ = step(Update(), Wished(ONE, 100), NOW)
    restarts = 0
    while update.phase is Phase.FETCHING:
        update, effects = resume(update, NOW)
        restarts += 1
        assert effects == [Effect(Do.FETCH if update.candidate else Do.DISCARD, ONE)]
    assert restarts == DEADLINES[Phase.FETCHING].after_s / RESTART_S
    assert (update.phase, update.attempt) == (Phase.FAILED, 1)


def test_an_agent_that_leaves_in_good_order_blames_no_release() -> None:
    update = Update(phase=Phase.STAGING, wish=TWO, candidate=TWO, current=ONE, attempt=MAX_ATTEMPTS)
    for _ in range(10):
        update = replace(resume(leave(update), NOW)[0], phase=Phase.STAGING)
        assert (update.attempt, update.has_left) == (MAX_ATTEMPTS, False)
    assert resume(update, NOW)[0].phase is Phase.FAILED


@pytest.mark.parametrize("phase", [Phase.SWITCHING, Phase.PROBATION])
def test_a_release_that_was_not_committed_is_tested_again_after_a_restart(phase: Phase) -> None:
    update = next(update for update in STATES if update.phase is phase and update.attempt == 1)
    assert update.candidate is not None
    after, effects = resume(update, NOW)
    assert after.phase is Phase.FETCHING
    assert after.attempt == 2
    assert effects[-1] == Effect(Do.FETCH, update.candidate)


def failed(phase: Phase = Phase.FETCHING) -> Update:
    """Return a machine whose first wish has failed."""
    return step(Update(phase=phase, wish=ONE, candidate=ONE, manifest_bytes=100, attempt=1), Failed(ONE, phase, "disk full"), NOW)[0]


def test_a_release_that_failed_is_tried_again_when_a_later_document_names_it() -> None:
    update = failed()
    assert step(update, Wished(ONE, 100, generation=0), NOW) == (update, [])
    again, effects = step(update, Wished(ONE, 100, generation=1), NOW)
    assert (again.phase, again.attempt, again.generation, effects) == (Phase.FETCHING, 1, 1, [Effect(Do.FETCH, ONE)])
    assert step(again, Wished(ONE, 100, generation=1), NOW) == (again, [])


def test_a_release_that_failed_is_tried_again_by_the_device_after_growing_pauses_and_not_for_ever() -> None:
    update = failed()
    for pause_s in RETRY_AFTER_S:
        assert limit_s(update) == pause_s
        waited, effects = step(update, Waited(pause_s - 1), NOW)
        assert (waited.phase, effects) == (Phase.FAILED, [])
        update, effects = step(waited, Waited(1), NOW)
        assert (update.phase, effects) == (Phase.FETCHING, [Effect(Do.FETCH, ONE)])
        update, _ = step(update, Failed(ONE, Phase.FETCHING, "disk full"), NOW)
    assert limit_s(update) is None
    assert step(update, Waited(FOR_EVER_S), NOW) == (update, [])


@pytest.mark.parametrize("event", [Unsuitable(ONE, "not for us"), Failed(ONE, Phase.TESTING, "golden set")])
def test_a_release_that_was_found_wanting_is_not_tried_again_until_the_fleet_wished_something_else(event: Event) -> None:
    phase = Phase.TESTING if isinstance(event, Failed) else Phase.FETCHING
    update, _ = step(Update(phase=phase, wish=ONE, candidate=ONE, attempt=1), event, NOW)
    assert limit_s(update) is None
    after, effects = step(update, Wished(ONE, 100, generation=5), NOW)
    assert (after, effects) == (replace(update, generation=5), [])
    after, _ = step(after, Wished(None, generation=6), NOW)
    assert step(after, Wished(ONE, 100, generation=7), NOW)[1] == [Effect(Do.FETCH, ONE)]


def test_a_release_in_whose_midst_the_agent_died_each_time_is_not_taken_for_a_failure_that_passes() -> None:
    update, _ = resume(Update(phase=Phase.STAGING, wish=ONE, candidate=ONE, attempt=MAX_ATTEMPTS), NOW)
    assert update.phase is Phase.FAILED
    assert f"died {MAX_ATTEMPTS} times while it was staging" in update.reason
    assert limit_s(update) is None


ON_TRIAL = Update(phase=Phase.COMMITTED, wish=TWO, current=TWO, previous=ONE, good=ONE)


def test_a_committed_release_that_brings_its_worker_or_the_agent_down_again_and_again_gives_way_to_the_last_known_good() -> None:
    update = ON_TRIAL
    for _ in range(MAX_STRIKES - 2):
        update, effects = step(update, Crashed(TWO, "signal 11"), NOW)
        assert (update.current, effects) == (TWO, [])
    update, effects = resume(update, NOW)
    assert (update.current, update.strikes) == (TWO, MAX_STRIKES - 1)
    update, effects = resume(update, NOW)
    assert (update.phase, update.current, update.previous, update.strikes) == (Phase.ROLLED_BACK, ONE, None, 0)
    assert effects == [Effect(Do.SERVE, ONE), Effect(Do.ROLL_BACK, TWO)]
    assert "the agent died" in update.reason
    # And it is not tried again by itself.
    assert step(update, Wished(TWO, 100, generation=9), NOW)[1] == []


def test_a_release_that_served_steadily_is_the_last_known_good_and_no_crash_takes_it_away() -> None:
    update, _ = step(ON_TRIAL, Steady(TWO), NOW)
    assert update.good == TWO
    for _ in range(3 * MAX_STRIKES):
        update, _ = step(update, Crashed(TWO, "signal 11"), NOW)
        update, _ = resume(update, NOW)
    assert (update.current, update.previous) == (TWO, ONE)


def test_what_never_served_steadily_does_not_take_the_place_of_the_last_known_good() -> None:
    update = replace(ON_TRIAL, phase=Phase.PROBATION, wish=THREE, candidate=THREE)
    update, _ = step(update, Done(THREE, Phase.PROBATION), NOW)
    assert (update.current, update.previous) == (THREE, ONE)


def test_an_update_under_way_starts_over_when_the_release_below_it_gives_way() -> None:
    update = replace(ON_TRIAL, phase=Phase.TESTING, wish=THREE, candidate=THREE, attempt=1, strikes=MAX_STRIKES - 1)
    update, effects = step(update, Crashed(TWO, "signal 11"), NOW)
    assert (update.phase, update.current, update.candidate) == (Phase.FETCHING, ONE, THREE)
    assert effects == [Effect(Do.ROLL_BACK, TWO), Effect(Do.FETCH, THREE)]


@pytest.mark.parametrize("heir", [None, ONE])
def test_a_damaged_release_is_fetched_again_at_once_while_its_heir_serves(heir: Ref | None) -> None:
    update, effects = step(replace(ON_TRIAL, manifest_bytes=100), Damaged(TWO, heir), NOW)
    assert (update.phase, update.current, update.candidate, update.attempt) == (Phase.FETCHING, heir, TWO, 1)
    assert effects == [Effect(Do.ROLL_BACK, TWO), Effect(Do.FETCH, TWO)]
    assert step(update, Damaged(TWO, heir), NOW) == (update, [])


def test_only_the_newest_wish_waits_and_all_else_in_its_order() -> None:
    waiting: tuple[Event, ...] = ()
    for event in (Wished(ONE), Done(ONE, Phase.FETCHING), Wished(None), Done(ONE, Phase.FETCHING), Wished(TWO)):
        waiting = filed(waiting, event)
    assert waiting == (Done(ONE, Phase.FETCHING), Wished(TWO))
    assert without_work((*waiting, Steady(ONE), Crashed(ONE, "hung"))) == (Wished(TWO), Steady(ONE), Crashed(ONE, "hung"))


def test_a_storm_of_crashes_waits_in_no_more_places_than_end_a_release() -> None:
    waiting: tuple[Event, ...] = (Wished(TWO),)
    for number in range(1000):
        waiting = filed(waiting, Crashed(ONE, f"signal {number}"))
    assert len(waiting) == 1 + max(MAX_CRASHES, MAX_STRIKES)


def test_an_older_release_is_rejected_as_a_rollback() -> None:
    update, effects = step(Update(current=TWO), Wished(ONE, 100), NOW)
    assert update.phase is Phase.REJECTED
    assert "rollback" in update.reason
    assert effects == [Effect(Do.DISCARD, ONE)]


def test_the_previous_release_may_be_wished_and_is_tried_like_any_other() -> None:
    before = Update(phase=Phase.COMMITTED, wish=TWO, current=TWO, previous=ONE, good=TWO)

    update, effects = step(before, Wished(ONE, 100), NOW)
    assert effects == [Effect(Do.FETCH, ONE)]
    for phase in (Phase.FETCHING, Phase.STAGING, Phase.TESTING, Phase.SWITCHING, Phase.PROBATION):
        update, _ = step(update, Done(ONE, phase), NOW)

    assert (update.phase, update.current, update.previous) == (Phase.COMMITTED, ONE, TWO)


def test_a_release_that_never_was_steady_is_not_kept_after_the_way_back() -> None:
    update = Update(phase=Phase.PROBATION, wish=ONE, candidate=ONE, current=TWO, previous=ONE, good=ONE)
    update, _ = step(update, Done(ONE, Phase.PROBATION), NOW)
    assert (update.current, update.previous) == (ONE, None)


def test_a_wish_for_what_runs_already_is_nothing_to_do() -> None:
    update, effects = step(Update(current=ONE), Wished(ONE, 100), NOW)
    assert (update.phase, effects) == (Phase.COMMITTED, [])
