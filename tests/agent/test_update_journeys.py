"""A release's way onto a device, over a real broker, with a real verifier and real processes."""

from __future__ import annotations

import shutil

from contracts.chunks import CHUNK_BYTES, Bitmap
from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, Want
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.sim.fleet import SimFleet
from tests.sim.releases import make_release


def committed(fleet: SimFleet, device: AgentProcess, number: int = 1) -> int:
    """Bring a release onto a running device; return the mark after it."""
    release = make_release(number)
    fleet.release(release)
    fleet.wish(DEVICE, number, release)
    fleet.wait_for_model(DEVICE, lambda model: model.current == release.ref and model.phase is Phase.COMMITTED)
    assert device.who_serves() == str(number)
    return fleet.mark


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
    assert (device.state / "models" / "digits" / "current").resolve().name == release.manifest.sha256
    # And every phase was told as an event, in order
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.facts.get("phase") == "committed")
    told = [event.facts["phase"] for event in fleet.all(DeviceEvent) if event.kind == "phase"]
    assert told[:5] == ["fetching", "staging", "testing", "switching", "probation"]


def test_a_second_release_takes_over_and_the_first_is_kept_as_previous(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    committed(fleet, device, 1)
    committed(fleet, device, 2)
    committed(fleet, device, 3)
    # Only what a slot names is kept
    kept = {make_release(2).manifest.sha256, make_release(3).manifest.sha256}
    until(lambda: {path.name for path in (device.state / "releases").iterdir()} == kept)
    until(lambda: list((device.state / "incoming").iterdir()) == [])


def test_a_release_that_fails_its_golden_set_is_rolled_back_and_the_old_one_keeps_serving(fleet: SimFleet, device: AgentProcess) -> None:
    device.behaviours = {"2": "golden"}
    device.start()
    mark = committed(fleet, device)
    bad = make_release(2)
    fleet.release(bad)
    fleet.wish(DEVICE, 2, bad)
    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.ROLLED_BACK, since=mark)
    assert report.current == make_release(1).ref
    assert report.last is not None
    assert report.last.release == bad.ref
    assert "golden set" in report.reason
    assert device.who_serves() == "1"


def test_a_release_that_crashes_three_times_in_probation_is_rolled_back(fleet: SimFleet, device: AgentProcess) -> None:
    device.behaviours = {"2": "crash"}
    device.start()
    mark = committed(fleet, device)
    bad = make_release(2)
    fleet.release(bad)
    fleet.wish(DEVICE, 2, bad)
    report = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.ROLLED_BACK, since=mark)
    assert "crashes" in report.reason
    assert device.who_serves() == "1"


def test_a_serving_worker_that_hangs_is_replaced(fleet: SimFleet, device: AgentProcess) -> None:
    device.behaviours = {"1": "hang"}
    device.start()
    release = make_release(1)
    fleet.release(release)
    fleet.wish(DEVICE, 1, release)
    crash = fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.kind == "worker")
    assert "hung" in crash.text


def test_the_same_wish_is_not_tried_again_after_a_rollback(fleet: SimFleet, device: AgentProcess) -> None:
    device.behaviours = {"1": "failed"}
    device.start()
    release = make_release(1)
    fleet.release(release)
    fleet.wish(DEVICE, 1, release)
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.facts.get("phase") == "rolled_back")
    mark = fleet.mark
    known = {(event.session, event.sequence) for event in fleet.all(DeviceEvent)}
    fleet.wish(DEVICE, 2, release)
    fleet.wait_for_model(DEVICE, lambda _: True, since=mark)
    device.stop()
    started = fleet.mark
    device.start()
    fleet.wait_for_birth(DEVICE, online=True, since=started)
    report = fleet.wait_for_model(DEVICE, lambda _: True, since=started)
    assert report.phase is Phase.ROLLED_BACK
    # What was said shortly before a start is said again, in case the broker lost it
    news = [event for event in fleet.all(DeviceEvent, since=mark) if (event.session, event.sequence) not in known]
    assert not [event for event in news if event.kind == "phase"]


def test_after_a_restart_the_committed_release_serves_and_nothing_is_fetched_again(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    mark = committed(fleet, device)
    assert device.stop() == 0
    device.start()
    fleet.wait_for_birth(DEVICE, online=True, since=mark)
    until(lambda: device.who_serves() == "1")
    fleet.wait_for_model(DEVICE, lambda model: model.current is not None and model.endpoint != "", since=mark)
    assert fleet.all(Want, since=mark) == []


def test_a_download_goes_on_after_the_agent_was_killed(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a release of 23 chunks, of which 18 come before the agent dies
    release = make_release(1, size=23 * CHUNK_BYTES)
    fleet.release(release)
    manifest_and_golden_chunks = 2
    fleet.chunks_to_deliver = manifest_and_golden_chunks + 18
    device.start()
    fleet.wish(DEVICE, 1, release)
    fleet.wait_for_model(DEVICE, lambda model: model.progress > 18 / 23 - 0.01)
    killed = fleet.wait_for_birth(DEVICE, online=True).session
    device.kill()
    mark = fleet.mark
    # When it starts again
    fleet.chunks_to_deliver = 100
    device.start()
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, since=mark)
    # Then it asked only for what had not come; the last words of the one that was killed may be heard only now
    digest = release.manifest.files["artifacts/cpu/model.onnx"].sha256
    wants = [want for want in fleet.all(Want, since=mark) if want.digest == digest and want.session != killed]
    asked = [len(Bitmap.from_hex(23, want.bitmap)) for want in wants]
    assert max(asked) == 5


def test_chunks_with_flipped_bytes_are_ignored_and_asked_for_again(fleet: SimFleet, device: AgentProcess) -> None:
    fleet.chunks_to_flip = 1
    device.start()
    committed(fleet, device)
    assert "is not what its digest says" in device.log()


def test_a_committed_release_that_was_damaged_on_disk_is_fetched_again(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    committed(fleet, device)
    device.stop()
    mark = fleet.mark
    file = device.state / "models" / "digits" / "current" / "artifacts" / "cpu" / "model.onnx"
    file.write_bytes(b"x" + file.read_bytes()[1:])
    device.start()
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: "damaged" in event.text, since=mark)
    fleet.wait_for(Want, DEVICE, lambda _: True, since=mark)
    until(lambda: device.who_serves() == "1")
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.facts.get("phase") == "committed", since=mark)


def test_a_lost_state_folder_is_filled_again(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    committed(fleet, device)
    device.stop()
    shutil.rmtree(device.state)
    mark = fleet.mark
    device.start()
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, since=mark)
    assert device.who_serves() == "1"


def test_a_withdrawn_wish_cancels_a_download_and_the_old_release_serves(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    mark = committed(fleet, device)
    fleet.chunks_to_deliver = 0
    coming = make_release(2)
    fleet.release(coming)
    fleet.wish(DEVICE, 2, coming)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.FETCHING, since=mark)
    fleet.wish(DEVICE, 3, make_release(1))
    report = fleet.wait_for_model(DEVICE, lambda model: model.last is not None and model.last.result is Phase.CANCELLED, since=mark)
    assert report.current == make_release(1).ref
    assert device.who_serves() == "1"


def test_two_models_are_served_on_ports_of_their_own_that_they_keep(fleet: SimFleet, device: AgentProcess) -> None:
    device.start()
    digits, faces = make_release(1), make_release(1, model="faces")
    fleet.release(digits, faces)
    fleet.wish(DEVICE, 1, digits, faces)
    first = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED)
    second = fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, model="faces")
    assert first.endpoint != second.endpoint
    mark = fleet.mark
    device.stop()
    device.start()
    again = fleet.wait_for_model(DEVICE, lambda model: model.endpoint != "", model="faces", since=mark)
    assert again.endpoint == second.endpoint
