"""Settings that a fleet wishes, on a real agent behind a real broker: applied while it serves, refused, rolled back, cut off half way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from agent.adapters.configuration_files import ConfigurationFiles
from agent.core.configuring import BASE_REF, ref_of
from agent.core.update import MAX_ATTEMPTS
from contracts.configuration import Configuration, Settings
from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, ModelReport, Reported
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.live.mosquitto import free_port
from tests.sim.fleet import Release, SimFleet, make_release


def wait_for_settings(fleet: SimFleet, phase: Phase, *, since: int = 0, timeout_s: float = 40) -> ModelReport:
    """Return the first report in which the settings stand so."""

    def is_heard(said: Reported) -> bool:
        return said.configuration is not None and said.configuration.phase is phase

    found = fleet.wait_for(Reported, DEVICE, is_heard, since=since, timeout_s=timeout_s).configuration
    assert found is not None
    return found


def wait_for_end(fleet: SimFleet, wanted: Configuration, *, since: int) -> ModelReport:
    """Return the report that tells how the newest attempt at these settings ended."""

    def is_heard(said: Reported) -> bool:
        last = None if said.configuration is None else said.configuration.last
        return last is not None and last.release == ref_of(wanted)

    found = fleet.wait_for(Reported, DEVICE, is_heard, since=since, timeout_s=40).configuration
    assert found is not None
    return found


def kill(device: AgentProcess) -> None:
    """End an agent without warning, but not while its verifier is about to answer: that would complain in the same log."""
    assert device.process is not None
    agent = psutil.Process(device.process.pid)
    until(lambda: not [child for child in agent.children() if "agent.verifier" in child.cmdline()])
    device.kill()


def serving(fleet: SimFleet, device: AgentProcess) -> Release:
    """Bring a release onto a device that is started."""
    release = make_release(1)
    fleet.release(release)
    device.start()
    fleet.wish(DEVICE, 1, release)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED)
    return release


def configure(fleet: SimFleet, generation: int, release: Release, settings: Settings, revision: int = 2) -> Configuration:
    """Wish settings beside a release."""
    configuration = Configuration(revision=revision, settings=settings)
    fleet.wish(DEVICE, generation, release, configuration=configuration)
    return configuration


@contextmanager
def steady_callers(device: AgentProcess) -> Iterator[list[str]]:
    """Ask all the time; yield what was answered."""
    answers: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                answers.append(device.who_serves())
            except OSError as error:
                answers.append(repr(error))
            time.sleep(0.01)

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        yield answers
    finally:
        done.set()
        for caller in callers:
            caller.join()


def test_settings_are_applied_and_committed_while_the_device_serves_every_request(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a device that serves, and reports that nothing but agent.toml is in force
    release = serving(fleet, device)
    assert wait_for_settings(fleet, Phase.COMMITTED).current == BASE_REF
    provisioned = device.config.read_bytes()
    mark = fleet.mark
    # When its fleet sets it, down to what a worker must be started anew for
    with steady_callers(device) as answers:
        wanted = configure(fleet, 2, release, {"telemetry.health_interval_s": 0.2, "telemetry.window_s": 0.7, "worker.inference_s": 20.0})
        report = wait_for_settings(fleet, Phase.PROBATION, since=mark)
        assert report.candidate == ref_of(wanted)
        report = wait_for_end(fleet, wanted, since=mark)
    # Then they are in force, told by their digest, and no request was lost while the worker was replaced
    assert report.current == ref_of(wanted)
    assert report.phase is Phase.COMMITTED
    assert set(answers) == {"1"}
    assert len(answers) > 20
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.text.endswith("was replaced without a gap"), since=mark)
    assert device.config.read_bytes() == provisioned
    # And they are in force after a restart, before any word of the fleet
    assert device.stop() == 0
    mark = fleet.mark
    device.start()
    fleet.wait_for(
        Reported, DEVICE, lambda said: said.configuration is not None and said.configuration.current == ref_of(wanted), since=mark
    )


def test_a_value_that_no_agent_takes_is_refused_by_name_and_nothing_is_tried(fleet: SimFleet, device: AgentProcess) -> None:
    release = serving(fleet, device)
    mark = fleet.mark
    configure(fleet, 2, release, {"telemetry.health_interval_s": -1})
    report = wait_for_settings(fleet, Phase.REJECTED, since=mark)
    assert "telemetry.health_interval_s: expected" in report.reason
    assert report.current == BASE_REF
    # And what may not be set from afar is no setting at all
    wanted = configure(fleet, 3, release, {"device.id": "another"}, revision=3)
    report = wait_for_end(fleet, wanted, since=mark)
    assert report.phase is Phase.REJECTED
    assert "device.id: expected one of broker.host" in report.reason
    assert device.who_serves() == "1"


def test_settings_that_make_no_sense_on_this_device_are_not_applied(fleet: SimFleet, device: AgentProcess) -> None:
    release = serving(fleet, device)
    mark = fleet.mark
    configure(fleet, 2, release, {"delivery.folder": "no/such/stick", "telemetry.health_interval_s": 0.1})
    report = wait_for_settings(fleet, Phase.ROLLED_BACK, since=mark)
    assert "delivery.folder: expected a folder or a bundle at no/such/stick, found nothing" in report.reason
    assert report.current == BASE_REF
    phases = {said.configuration.phase for said in fleet.all(Reported, since=mark) if said.configuration}
    assert Phase.SWITCHING not in phases


def test_settings_that_break_the_link_are_rolled_back_by_the_device_itself(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a device that serves
    release = serving(fleet, device)
    mark = fleet.mark
    # When it is told to find its broker where there is none
    with steady_callers(device) as answers:
        configure(fleet, 2, release, {"broker.port": free_port()})
        fleet.wait_for_birth(DEVICE, online=False, since=mark)
        # Then it comes back by itself, says why, and has served all the while
        report = wait_for_settings(fleet, Phase.ROLLED_BACK, since=mark)
    assert "link: expected the broker to take a report" in report.reason
    assert report.current == BASE_REF
    assert report.candidate is None
    assert set(answers) == {"1"}
    # And another wish is followed
    mark = fleet.mark
    wanted = configure(fleet, 3, release, {"telemetry.health_interval_s": 0.3}, revision=3)
    assert wait_for_end(fleet, wanted, since=mark).current == ref_of(wanted)


def test_bounds_under_which_no_worker_starts_are_rolled_back_while_the_old_one_serves(fleet: SimFleet, device: AgentProcess) -> None:
    release = serving(fleet, device)
    mark = fleet.mark
    configure(fleet, 2, release, {"worker.memory_mib": 1})
    report = wait_for_settings(fleet, Phase.ROLLED_BACK, since=mark)
    assert report.reason.startswith("worker: digits: ")
    assert device.who_serves() == "1"


def test_a_change_cut_off_by_a_kill_is_taken_up_again_and_one_that_always_kills_is_left(fleet: SimFleet, device: AgentProcess) -> None:
    # Given a device that is in the middle of a long probation of other settings
    release = serving(fleet, device)
    mark = fleet.mark
    wanted = configure(fleet, 2, release, {"update.probation_s": 3600})
    wait_for_settings(fleet, Phase.PROBATION, since=mark)
    for attempt in range(2, MAX_ATTEMPTS + 1):
        # When it is killed, it tries again, under the settings before
        kill(device)
        mark = fleet.mark
        device.start()
        report = wait_for_settings(fleet, Phase.PROBATION, since=mark)
        assert (report.attempt, report.current, report.candidate) == (attempt, BASE_REF, ref_of(wanted))
    # Then after the last of its tries it leaves them, before they are applied once more
    kill(device)
    mark = fleet.mark
    device.start()
    report = wait_for_settings(fleet, Phase.ROLLED_BACK, since=mark)
    assert f"the agent died {MAX_ATTEMPTS} times while it was probation" in report.reason
    assert report.current == BASE_REF
    until(lambda: device.who_serves() == "1")
    until(lambda: [path.name for path in (device.state / "configuration").iterdir()] == ["update.json"])


def test_committed_settings_that_were_damaged_on_disk_are_taken_from_the_wish_again(fleet: SimFleet, device: AgentProcess) -> None:
    release = serving(fleet, device)
    mark = fleet.mark
    wanted = configure(fleet, 2, release, {"telemetry.health_interval_s": 0.2})
    wait_for_end(fleet, wanted, since=mark)
    assert device.stop() == 0
    kept = device.state / "configuration" / f"{wanted.sha256}.json"
    kept.write_bytes(kept.read_bytes().replace(b"0.2", b"0.9"))
    mark = fleet.mark
    device.start()
    fleet.wait_for(Reported, DEVICE, lambda said: said.configuration is not None and said.configuration.candidate is not None, since=mark)
    until(lambda: ConfigurationFiles(device.state).read(ref_of(wanted)) == wanted)


def test_a_state_folder_without_configurations_is_that_of_an_untouched_device(tmp_path: Path) -> None:
    files = ConfigurationFiles(tmp_path)
    assert files.load().current == BASE_REF
    assert files.read(BASE_REF) == Configuration(revision=1, settings={})
