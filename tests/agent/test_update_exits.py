"""Whatever goes wrong, an update on a real agent comes to an end by itself, with a reason, and a good release serves."""

from __future__ import annotations

from dataclasses import replace

from agent.adapters.store import StateStore
from agent.core.update import MAX_STRIKES
from agent.core.update.waiting import RESTART_S
from contracts.lifecycle import DEADLINES, Phase
from contracts.messages import DeviceEvent
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.sim.fleet import SimFleet
from tests.sim.releases import Release, make_release

MODEL = "digits"


def commit(fleet: SimFleet, number: int) -> Release:
    """Bring a release onto a running device."""
    release = make_release(number)
    fleet.release(release)
    fleet.wish(DEVICE, number, release)
    fleet.wait_for_model(DEVICE, lambda model: model.current == release.ref and model.phase is Phase.COMMITTED)
    return release


def test_a_disk_that_takes_no_state_holds_the_update_and_ends_nothing(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a device that serves one release, and a disk that refuses to keep any further state
    device.start()
    commit(fleet, 1)
    obstacle = device.state / "models" / MODEL / ".update.json.new"
    obstacle.mkdir()
    # When the fleet wishes for another
    coming = make_release(2)
    fleet.release(coming)
    mark = fleet.mark
    fleet.wish(DEVICE, 2, coming)
    # Then the device says why it stays as it is, and goes on serving
    held = fleet.wait_for(DeviceEvent, DEVICE, lambda event: "held at committed" in event.text, since=mark)
    assert held.severity == "error"
    report = fleet.wait_for_model(DEVICE, lambda model: "update.json" in model.reason or MODEL in model.reason, since=mark)
    assert (report.phase, report.current) == (Phase.COMMITTED, make_release(1).ref)
    assert device.who_serves() == "1"
    # And when the disk takes it again, the wish is followed
    obstacle.rmdir()
    fleet.wait_for_model(DEVICE, lambda model: model.current == coming.ref and model.phase is Phase.COMMITTED, since=mark)
    assert device.who_serves() == "2"


def test_a_download_without_progress_ends_in_time_and_a_later_document_tries_again(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a device that has waited for a download for almost as long as it may, over many restarts
    release = make_release(1)
    fleet.release(release)
    fleet.chunks_to_deliver = 0
    device.start()
    fleet.wish(DEVICE, 1, release)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.FETCHING)
    device.kill()
    store = StateStore(device.state)
    store.save(MODEL, replace(store.load(MODEL), waited_s=DEADLINES[Phase.FETCHING].after_s - RESTART_S - 1))
    # When it starts again and nothing comes
    mark = fleet.mark
    device.start()
    # Then it gives the download up by itself
    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.FAILED, since=mark)
    assert "time: expected progress while fetching within 604800 s" in report.reason
    # And when the fleet insists, it tries again
    fleet.chunks_to_deliver = 100
    fleet.wish(DEVICE, 2, release)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, since=mark)
    assert device.who_serves() == "1"


def test_a_committed_release_that_crashes_again_and_again_gives_way_to_the_one_before(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a device with a release that passed its probation, and another one before it
    device.start()
    first = commit(fleet, 1)
    bad = commit(fleet, 2)
    assert device.stop() == 0
    assert StateStore(device.state).load(MODEL).has_left
    # When its worker crashes whenever it serves
    device.behaviours = {"2": "crash"}
    mark = fleet.mark
    device.start()
    # Then the one before serves again, and the fleet is told why
    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.ROLLED_BACK, since=mark)
    assert (report.current, report.previous) == (first.ref, None)
    assert report.last is not None
    assert (report.last.release, report.last.result) == (bad.ref, Phase.ROLLED_BACK)
    assert f"down {MAX_STRIKES} times before it had served steadily" in report.reason
    until(lambda: device.who_serves() == "1")
    until(lambda: [path.name for path in (device.state / "releases").iterdir()] == [first.manifest.sha256])


def test_a_committed_release_that_brings_the_agent_down_each_time_gives_way_at_the_next_start(
    fleet: SimFleet, device: AgentProcess
) -> None:
    # Given an agent that died all but once as often as a release on trial may bring it down
    device.start()
    first = commit(fleet, 1)
    commit(fleet, 2)
    device.kill()
    store = StateStore(device.state)
    store.save(MODEL, replace(store.load(MODEL), strikes=MAX_STRIKES - 1))
    # When it starts after one more death
    mark = fleet.mark
    device.start()
    # Then the release before serves
    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.ROLLED_BACK, since=mark)
    assert report.current == first.ref
    assert "the agent died" in report.reason
    until(lambda: device.who_serves() == "1")
