"""The update machine, tried in every state it can reach with every event there is."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timezone

import pytest

from agent.core.update import MAX_ATTEMPTS, Crashed, Damaged, Do, Done, Effect, Event, Failed, Unsuitable, Update, Wished, resume, step
from contracts.lifecycle import EDGES, FINAL, IN_PROGRESS, Party, Phase
from contracts.messages import ReleaseRef

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ONE, TWO, THREE = (ReleaseRef(model="digits", release=number, manifest_sha256=f"{number:064x}") for number in (1, 2, 3))
RELEASES = (ONE, TWO, THREE)

EVENTS: tuple[Event, ...] = (
    Wished(None),
    *(Wished(release, 100) for release in RELEASES),
    *(kind for release in RELEASES for phase in IN_PROGRESS for kind in (Done(release, phase), Failed(release, phase, "broken"))),
    *(Unsuitable(release, "not for us") for release in RELEASES),
    *(Crashed(release, "signal 11") for release in RELEASES),
    Damaged(None),
)


def reachable() -> set[Update]:
    """Return every state that some chain of events and restarts leads to."""
    found, waiting = {Update()}, deque([Update()])
    while waiting:
        update = waiting.popleft()
        for after in (resume(update, NOW)[0], *(step(update, event, NOW)[0] for event in EVENTS)):
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found


# Exploring raises ForbiddenEdgeError should the machine ever leave the life cycle's edges.
STATES = reachable()


def lives(before: Update, after: Update) -> list[tuple[Phase, Phase]]:
    """Return the edges that lead from one state to the next: the end of one release's life, the start of another's."""
    edges = []
    if before.candidate is not None and after.last is not before.last and after.last is not None:
        if after.last.release == before.candidate:
            edges.append((before.phase, after.last.result))
            before = Update()
        else:
            edges.append((Phase.OFFERED, after.last.result))
    if after.candidate is not None and after.candidate == before.candidate and after.attempt == before.attempt:
        edges.append((before.phase, after.phase))
    elif after.candidate is not None:
        edges.append((Phase.OFFERED, after.phase))
    return [(source, target) for source, target in edges if source is not target]


def test_every_step_from_every_state_is_an_edge_of_the_agent() -> None:
    assert len(STATES) > 1000
    taken = {edge for update in STATES for event in EVENTS for edge in lives(update, step(update, event, NOW)[0])}
    assert {edge: EDGES.get(edge) for edge in taken} == dict.fromkeys(taken, Party.AGENT)
    # And every edge that is the agent's is taken by some step.
    assert taken == {edge for edge, party in EDGES.items() if party is Party.AGENT}


def test_the_committed_counter_never_shrinks_unless_the_disk_was_damaged() -> None:
    for update in STATES:
        for event in EVENTS:
            after = step(update, event, NOW)[0]
            if update.current is not None and not isinstance(event, Damaged):
                assert after.current is not None
                assert after.current.release >= update.current.release


def test_a_candidate_is_there_exactly_while_an_update_is_under_way() -> None:
    assert all((update.candidate is not None) is (update.phase in IN_PROGRESS) for update in STATES)


def test_every_update_under_way_has_work_and_every_end_has_its_deed() -> None:
    ends = {Phase.COMMITTED: Do.COMMIT, Phase.ROLLED_BACK: Do.ROLL_BACK}
    for update in STATES:
        for event in EVENTS:
            after, effects = step(update, event, NOW)
            if after.last != update.last and after.last is not None:
                assert Effect(ends.get(after.last.result, Do.DISCARD), after.last.release) in effects
            if after.candidate is not None and (after.phase, after.candidate) != (update.phase, update.candidate):
                assert effects[-1].release == after.candidate


def test_a_repeated_event_changes_nothing_the_second_time_save_a_crash() -> None:
    for update in STATES:
        for event in EVENTS:
            if not isinstance(event, Crashed | Damaged):
                after, _ = step(update, event, NOW)
                assert step(after, event, NOW) == (after, [])


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


def test_a_download_resumes_any_number_of_times() -> None:
    update, _ = step(Update(), Wished(ONE, 100), NOW)
    for _ in range(50):
        update, effects = resume(update, NOW)
        assert update.phase is Phase.FETCHING
        assert effects == [Effect(Do.FETCH, ONE)]


@pytest.mark.parametrize("phase", [Phase.SWITCHING, Phase.PROBATION])
def test_a_release_that_was_not_committed_is_tested_again_after_a_restart(phase: Phase) -> None:
    update = next(update for update in STATES if update.phase is phase and update.attempt == 1)
    after, effects = resume(update, NOW)
    assert after.phase is Phase.FETCHING
    assert after.attempt == 2
    assert [effect.do for effect in effects] == [Do.FETCH]


def test_a_release_that_failed_is_tried_again_only_when_the_wish_went_away_and_came_back() -> None:
    update, _ = step(Update(), Wished(ONE, 100), NOW)
    update, _ = step(update, Failed(ONE, Phase.FETCHING, "disk full"), NOW)
    assert step(update, Wished(ONE, 100), NOW) == (update, [])
    update, _ = step(update, Wished(None), NOW)
    update, effects = step(update, Wished(ONE, 100), NOW)
    assert effects == [Effect(Do.FETCH, ONE)]


def test_an_older_release_is_rejected_as_a_rollback() -> None:
    update, effects = step(Update(current=TWO), Wished(ONE, 100), NOW)
    assert update.phase is Phase.REJECTED
    assert "rollback" in update.reason
    assert effects == [Effect(Do.DISCARD, ONE)]


def test_a_wish_for_what_runs_already_is_nothing_to_do() -> None:
    update, effects = step(Update(current=ONE), Wished(ONE, 100), NOW)
    assert (update.phase, effects) == (Phase.COMMITTED, [])
