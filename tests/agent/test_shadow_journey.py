"""A candidate in shadow on a real device: real worker, real broker, callers all the while, and the fleet's word that ends it."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, Health, InferenceWindow
from contracts.shadow import ShadowPart, ShadowTerms, joined_part
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.sim.fleet import SimFleet
from tests.sim.open_loop import OK, OpenLoop
from tests.sim.releases import Release, make_release
from tests.sim.switches import order_for, switch_to, tiny
from tests.sim.tiny_release import MODEL

TERMS = ShadowTerms(share=0.5, max_cpu_share=4.0)
# Half as many as without a shadow, which computes them too.
REQUESTS_PER_S = 25.0
ENOUGH = 60
# Other tests may run beside.
LATE_S = 150
# What they compute of the one picture that callers ask about is another class.
AS_LIVE, OTHERWISE = 1, 2


def told(fleet: SimFleet, candidate: Release, since: int) -> ShadowPart:
    """Wait until the device has compared enough, and return all of it; the windows are the live release's."""

    def parts() -> list[ShadowPart]:
        windows = [window for window in fleet.all(InferenceWindow, since=since) if window.shadow is not None]
        assert all(window.release.release == 1 for window in windows)
        found = [window.shadow for window in windows if window.shadow is not None]
        return [part for part in found if part.manifest_sha256 == candidate.ref.manifest_sha256]

    until(lambda: sum(part.compared for part in parts()) >= ENOUGH, timeout_s=LATE_S)
    total = reduce(joined_part, parts(), None)
    assert total is not None
    return total


def test_a_candidate_is_compared_taken_back_or_promoted_and_no_caller_notices(
    fleet: SimFleet, device: AgentProcess, tmp_path: Path
) -> None:
    # Given a device that serves release 1 to callers, and two candidates: one computes something else, one the same
    device.behaviours = None
    live, other, same = tiny(tmp_path / "1", 1, AS_LIVE), tiny(tmp_path / "2", 2, OTHERWISE), tiny(tmp_path / "3", 3, AS_LIVE)
    fleet.release(other, same)
    device.start()
    switch_to(fleet, DEVICE, live)
    callers = OpenLoop(order_for(device.serve_port, device.state, REQUESTS_PER_S))
    try:
        # When the first one runs in shadow
        mark = fleet.mark
        fleet.shadow(DEVICE, 10, live, other, TERMS)
        fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.SHADOW, model=MODEL, since=mark, timeout_s=LATE_S)
        # Then the fleet hears that it disagrees, and takes it back
        found = told(fleet, other, mark)
        assert found.agreed < 0.9 * found.compared
        fleet.wish(DEVICE, 11, live)
        gone = fleet.wait_for_model(
            DEVICE, lambda model: model.last is not None and model.last.result is Phase.CANCELLED, model=MODEL, since=mark, timeout_s=LATE_S
        )
        assert (gone.current, gone.phase) == (live.ref, Phase.COMMITTED)
        # When the second one does, and agrees
        mark = fleet.mark
        fleet.shadow(DEVICE, 12, live, same, TERMS)
        found = told(fleet, same, mark)
        assert (found.agreed, found.errors) == (found.compared, 0)
        # Then the fleet's word lets it serve, and nothing is fetched or tested again
        fleet.wish(DEVICE, 13, same)
        fleet.wait_for_model(
            DEVICE, lambda model: model.current == same.ref and model.phase is Phase.COMMITTED, model=MODEL, since=mark, timeout_s=LATE_S
        )
        fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.facts.get("phase") == "committed", since=mark)
        told_phases = [event.facts for event in fleet.all(DeviceEvent, since=mark) if event.kind == "phase"]
        phases = [facts["phase"] for facts in told_phases if facts["release"] == "3"]
        assert phases[:6] == ["fetching", "staging", "testing", "shadow", "switching", "probation"]
        fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.release == same.ref, since=mark)
    finally:
        answers = callers.finish()
    # And every caller had his answer all the while, never by the one that disagreed
    assert len(answers) > 100
    assert [answer for answer in answers if answer.status != OK] == []
    assert {window.release.release for window in fleet.all(InferenceWindow)} == {1, 3}


def test_a_candidate_that_crashes_again_and_again_is_given_up_and_the_live_one_is_left_alone(fleet: SimFleet, device: AgentProcess) -> None:
    device.behaviours = {"2": "shy"}
    device.start()
    live, shy = make_release(1), make_release(2)
    fleet.release(live, shy)
    fleet.wish(DEVICE, 1, live)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, timeout_s=LATE_S)
    mark = fleet.mark
    fleet.shadow(DEVICE, 2, live, shy, TERMS)

    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.ROLLED_BACK, since=mark, timeout_s=LATE_S)

    assert (report.current, report.reason) == (live.ref, "3 crashes in shadow, the last: it ended with exit status 70")
    assert device.who_serves() == "1"
    health = fleet.wait_for(Health, DEVICE, lambda _: True, since=fleet.mark)
    assert health.workers["digits"].restarts == 0


def restarted(fleet: SimFleet, device: AgentProcess) -> int:
    """Kill the agent, and start it again once the fleet has heard all of the one before; return the mark between the two."""
    mark = fleet.mark
    device.kill()
    fleet.wait_for_birth(DEVICE, online=False, since=mark)
    mark = fleet.mark
    device.start()
    return mark


def test_a_shadow_goes_on_after_a_restart_and_ends_by_itself_when_its_fleet_has_forgotten_it(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    live, candidate = make_release(1), make_release(2)
    fleet.release(live, candidate)
    fleet.wish(DEVICE, 1, live)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, timeout_s=LATE_S)
    fleet.shadow(DEVICE, 2, live, candidate, TERMS.model_copy(update={"life_s": 1100.0}))
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.SHADOW, timeout_s=LATE_S)
    # A restart counts as ten minutes, so that a device that restarts often does not go on for ever
    mark = restarted(fleet, device)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.SHADOW, since=mark, timeout_s=LATE_S)
    mark = restarted(fleet, device)

    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.CANCELLED, since=mark, timeout_s=LATE_S)

    assert "time: expected progress while shadow within" in report.reason
    assert report.current == live.ref
    assert device.who_serves() == "1"
