"""A release's way onto a device, over a real broker, with a real verifier and real processes."""

from __future__ import annotations

from contracts.lifecycle import Phase
from tests.agent.conftest import DEVICE, AgentProcess
from tests.sim.fleet import SimFleet, make_release


def test_a_release_is_fetched_tested_switched_to_and_committed(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a fleet with one release, and a device that has none
    release = make_release(1)
    fleet.release(release)
    device.start()
    # When the fleet wishes for it
    fleet.wish(DEVICE, 1, release)
    # Then it is committed, reported and serves
    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED)
    assert report.current == release.ref
    assert report.endpoint == f"http://127.0.0.1:{device.serve_port}"
    assert device.who_serves() == "1"
