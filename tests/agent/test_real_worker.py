"""The command itself with the real worker: callers do not notice that releases are replaced under them."""

from __future__ import annotations

from pathlib import Path

from contracts.messages import InferenceWindow
from tests.agent.conftest import DEVICE, AgentProcess
from tests.sim.fleet import SimFleet
from tests.sim.open_loop import OK, OpenLoop
from tests.sim.switches import order_for, switch_to, tiny

SWITCHES = 3


def test_no_request_fails_while_releases_are_replaced(fleet: SimFleet, device: AgentProcess, tmp_path: Path) -> None:
    # Given a device that serves release 1 through the real worker
    device.behaviours = None
    releases = [tiny(tmp_path / str(number), number) for number in range(1, SWITCHES + 2)]
    device.start()
    switch_to(fleet, DEVICE, releases[0])
    # And callers who ask two hundred times a second, over connections old and new, whatever comes back
    callers = OpenLoop(order_for(device.serve_port, device.state))
    try:
        fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.release == releases[0].ref)
        # When one release after the other takes over
        for release in releases[1:]:
            switch_to(fleet, DEVICE, release)
        fleet.wait_for(InferenceWindow, DEVICE, lambda window: window.release == releases[-1].ref)
    finally:
        answers = callers.finish()
    # Then every one of their requests was answered
    assert len(answers) > 100
    assert [answer for answer in answers if answer.status != OK] == []
    # And every release answered some
    assert {window.release.release for window in fleet.all(InferenceWindow)} == {release.manifest.release for release in releases}
