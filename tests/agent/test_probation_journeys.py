"""A release that takes over and then does worse than it may is rolled back by the whole agent, and says why."""

from __future__ import annotations

from agent.core.probation import MIN_REQUESTS
from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, ModelReport
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.sim.fleet import SimFleet
from tests.sim.releases import make_release


def is_rolled_back(model: ModelReport) -> bool:
    """Say whether a release was found wanting."""
    return model.phase is Phase.ROLLED_BACK


def begin_with_release_1(fleet: SimFleet, device: AgentProcess) -> int:
    """Have the device serve release 1 for good; return the mark after it."""
    fleet.release(make_release(1), make_release(2))
    device.start()
    fleet.wish(DEVICE, 1, make_release(1))
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED)
    return fleet.mark


def check_that_release_1_is_back(fleet: SimFleet, device: AgentProcess, since: int, reason: str) -> None:
    """Wait until release 2 was rolled back for this reason."""
    report = fleet.wait_for_model(DEVICE, is_rolled_back, since=since)
    told = fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.facts.get("phase") == "rolled_back", since=since)
    assert report.reason.startswith(reason)
    assert reason in told.text
    assert report.current == make_release(1).ref
    until(lambda: device.who_serves() == "1")


def test_a_release_that_answers_by_errors_is_rolled_back_long_before_its_probation_is_over(fleet: SimFleet, device: AgentProcess) -> None:
    device.behaviours = {"2": "errors"}
    mark = begin_with_release_1(fleet, device)
    device.stop()
    device.config.write_text(device.config.read_text().replace("probation_s = 0.5", "probation_s = 600"))
    device.start()
    fleet.wish(DEVICE, 2, make_release(2))
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.PROBATION, since=mark)
    for _ in range(MIN_REQUESTS + 1):
        device.who_serves()
    check_that_release_1_is_back(fleet, device, mark, "probation: errors: expected at most 50% errors, found 2")


def test_a_release_that_nobody_asks_is_rolled_back_when_it_fails_its_golden_set_now(fleet: SimFleet, device: AgentProcess) -> None:
    device.behaviours = {"2": "unproven"}
    mark = begin_with_release_1(fleet, device)
    fleet.wish(DEVICE, 2, make_release(2))
    check_that_release_1_is_back(fleet, device, mark, "probation: golden: ")
