"""The life cycle is a table without traps: every phase can be left or is final, and each edge has one party."""

from __future__ import annotations

import pytest

from contracts.errors import ForbiddenEdgeError
from contracts.lifecycle import DEADLINES, EDGES, FINAL, IN_PROGRESS, Party, Phase, check_step


def reachable_from(phase: Phase) -> set[Phase]:
    found, open_phases = {phase}, [phase]
    while open_phases:
        source = open_phases.pop()
        for target in {target for start, target in EDGES if start is source} - found:
            found.add(target)
            open_phases.append(target)
    return found


def test_every_phase_can_be_reached() -> None:
    assert reachable_from(Phase.PLANNED) == set(Phase)


@pytest.mark.parametrize("phase", sorted(set(Phase) - FINAL))
def test_every_open_phase_has_a_way_to_an_end(phase: Phase) -> None:
    assert reachable_from(phase) & FINAL


@pytest.mark.parametrize("phase", sorted(FINAL))
def test_a_final_phase_is_never_left_save_by_a_device_that_goes_back_from_a_committed_release(phase: Phase) -> None:
    assert reachable_from(phase) == {phase} | ({Phase.ROLLED_BACK} if phase is Phase.COMMITTED else set())
    assert EDGES.get((phase, Phase.ROLLED_BACK), Party.AGENT) is Party.AGENT


@pytest.mark.parametrize("phase", sorted(IN_PROGRESS))
def test_every_phase_that_waits_on_the_device_ends_by_itself_in_an_outcome_that_is_the_agents(phase: Phase) -> None:
    deadline = DEADLINES[phase]
    assert deadline.after_s > 0
    assert deadline.outcome in FINAL - {Phase.COMMITTED}
    check_step(phase, deadline.outcome, Party.AGENT)


def test_the_fleet_gives_up_what_waits_for_a_device() -> None:
    assert set(DEADLINES) == IN_PROGRESS
    check_step(Phase.OFFERED, Phase.FAILED, Party.FLEET)


@pytest.mark.parametrize("phase", sorted(IN_PROGRESS))
def test_only_the_agent_moves_what_happens_on_the_device(phase: Phase) -> None:
    assert {party for (source, _), party in EDGES.items() if source is phase} == {Party.AGENT}


def test_a_step_that_is_not_the_partys_own_is_refused_by_name() -> None:
    check_step(Phase.PROBATION, Phase.COMMITTED, Party.AGENT)
    with pytest.raises(ForbiddenEdgeError, match="fleet may not move a release from probation to committed"):
        check_step(Phase.PROBATION, Phase.COMMITTED, Party.FLEET)
