"""Settings that a fleet wishes, on a real agent behind a real broker: applied while it serves, refused, rolled back, cut off half way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import pytest

from agent.adapters.configuration_files import ConfigurationFiles
from agent.core.configuring import BASE_REF, ref_of
from agent.core.update import MAX_ATTEMPTS
from contracts.configuration import Configuration
from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, ModelReport, ReleaseRef, Reported
from contracts.settings import Settings
from tests.agent.conftest import DEVICE, AgentProcess, listening_fleet, provisioned_device, running_broker, until
from tests.live.ports import free_port
from tests.sim.fleet import SimFleet
from tests.sim.releases import Release, make_release

WAIT_S = 150.0


@dataclass
class Served:
    """A device that serves one release, and the fleet that sets it; each test finds it as the one before left it."""

    fleet: SimFleet
    device: AgentProcess
    release: Release
    numbers: Iterator[int] = field(default_factory=lambda: count(2))

    def configure(self, settings: Settings) -> Configuration:
        """Wish settings beside the release."""
        number = next(self.numbers)
        configuration = Configuration(revision=number, settings=settings)
        self.fleet.wish(DEVICE, number, self.release, configuration=configuration)
        return configuration

    def told(self, is_so: Callable[[ModelReport], bool], *, since: int = 0, fleet: SimFleet | None = None) -> ModelReport:
        """Return the first report of the settings that is so."""

        def is_heard(said: Reported) -> bool:
            return said.configuration is not None and is_so(said.configuration)

        found = (fleet or self.fleet).wait_for(Reported, DEVICE, is_heard, since=since, timeout_s=WAIT_S).configuration
        assert found is not None
        return found

    def end_of(self, wanted: Configuration, *, since: int, fleet: SimFleet | None = None) -> ModelReport:
        """Return the report that tells how the newest attempt at these settings ended."""
        return self.told(lambda report: report.last is not None and report.last.release == ref_of(wanted), since=since, fleet=fleet)

    @property
    def in_force(self) -> ReleaseRef:
        """Which settings the device keeps for committed ones."""
        current = ConfigurationFiles(self.device.state).load().current
        assert current is not None
        return current

    def kill(self) -> None:
        """End the agent without warning, but not while its verifier is about to answer: that would complain in the same log."""
        until(lambda: not self.device.children("agent.verifier"))
        self.device.kill()


def is_probation_of(wanted: Configuration, event: DeviceEvent) -> bool:
    return (event.facts.get("phase"), event.facts.get("manifest_sha256")) == ("probation", wanted.sha256)


def is_in_probation(attempt: int, report: ModelReport) -> bool:
    return report.phase is Phase.PROBATION and report.attempt == attempt


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A device with a committed release."""
    folder = tmp_path_factory.mktemp("served")
    with running_broker(folder) as broker, listening_fleet(broker) as fleet, provisioned_device(folder, fleet) as device:
        release = make_release(1)
        fleet.release(release)
        device.start()
        fleet.wish(DEVICE, 1, release)
        fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED)
        yield Served(fleet, device, release)


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
            time.sleep(0.02)

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        yield answers
    finally:
        done.set()
        for caller in callers:
            caller.join()


def test_settings_are_applied_and_committed_while_the_device_serves_every_request(served: Served) -> None:
    # Given a device that serves, and reports that nothing but agent.toml is in force
    fleet, device = served.fleet, served.device
    assert served.told(lambda report: report.phase is Phase.COMMITTED).current == BASE_REF
    provisioned = device.config.read_bytes()
    mark = fleet.mark
    # When its fleet sets it, down to what a worker must be started anew for
    with steady_callers(device) as answers:
        wanted = served.configure({"telemetry.health_interval_s": 0.2, "telemetry.window_s": 0.7, "worker.inference_s": 20.0})
        report = served.end_of(wanted, since=mark)
    # Then they are in force, told by their digest, and no request was lost while the worker was replaced
    assert (report.phase, report.current) == (Phase.COMMITTED, ref_of(wanted))
    assert set(answers) == {"1"}
    assert len(answers) > 20
    fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.text.endswith("was replaced without a gap"), since=mark)
    # After a probation: of several reports at once only the newest is sent, but every event
    fleet.wait_for(DeviceEvent, DEVICE, partial(is_probation_of, wanted), since=mark)
    assert device.config.read_bytes() == provisioned
    # And they are in force after a restart, before any word of the fleet
    assert device.stop() == 0
    mark = fleet.mark
    device.start()
    served.told(lambda report: report.current == ref_of(wanted), since=mark)


def test_a_value_that_no_agent_takes_is_refused_by_name_and_nothing_is_tried(served: Served) -> None:
    before, mark = served.in_force, served.fleet.mark
    report = served.end_of(served.configure({"telemetry.health_interval_s": -1}), since=mark)
    assert (report.phase, report.current) == (Phase.REJECTED, before)
    assert "telemetry.health_interval_s: expected" in report.reason
    # And what may not be set from afar is no setting at all
    report = served.end_of(served.configure({"device.id": "another"}), since=mark)
    assert (report.phase, report.current) == (Phase.REJECTED, before)
    assert "device.id: expected one of broker.host" in report.reason


def test_settings_that_make_no_sense_on_this_device_are_not_applied(served: Served) -> None:
    before, mark = served.in_force, served.fleet.mark
    report = served.end_of(served.configure({"delivery.folder": "no/such/stick"}), since=mark)
    assert (report.phase, report.current) == (Phase.ROLLED_BACK, before)
    assert "delivery.folder: expected a folder or a bundle at no/such/stick, found nothing" in report.reason
    phases = {said.configuration.phase for said in served.fleet.all(Reported, since=mark) if said.configuration}
    assert Phase.SWITCHING not in phases


def test_bounds_under_which_no_worker_starts_are_rolled_back_while_the_old_one_serves(served: Served) -> None:
    before, mark = served.in_force, served.fleet.mark
    with steady_callers(served.device) as answers:
        report = served.end_of(served.configure({"worker.memory_mib": 1}), since=mark)
    assert (report.phase, report.current) == (Phase.ROLLED_BACK, before)
    assert report.reason.startswith("worker: digits: ")
    assert set(answers) == {"1"}


def test_settings_that_break_the_link_are_rolled_back_by_the_device_itself(served: Served) -> None:
    before, mark = served.in_force, served.fleet.mark
    # When it is told to find its broker where there is none
    with steady_callers(served.device) as answers:
        wanted = served.configure({"broker.port": free_port()})
        served.fleet.wait_for_birth(DEVICE, online=False, since=mark)
        # Then it comes back by itself, says why, and has served all the while
        report = served.end_of(wanted, since=mark)
    assert (report.phase, report.current) == (Phase.ROLLED_BACK, before)
    assert report.reason.startswith("link: expected the broker to take a report")
    assert set(answers) == {"1"}


def test_a_device_moves_to_another_broker_only_where_its_fleet_speaks(served: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    before, mark = served.in_force, served.fleet.mark
    with running_broker(tmp_path_factory.mktemp("other")) as other:
        # Given a broker that lets the device in, but that nobody speaks to it through
        report = served.end_of(served.configure({"broker.port": other.port}), since=mark)
        assert (report.phase, report.current) == (Phase.ROLLED_BACK, before)
        assert "bring the fleet's wish" in report.reason
        # When the fleet speaks there, too
        with listening_fleet(other) as there:
            there.repository = served.fleet.repository
            there.publish_trust()
            # As long before the device comes as it may take
            wanted = Configuration(revision=next(served.numbers), settings={"broker.port": other.port})
            there.wish(DEVICE, wanted.revision, served.release, configuration=wanted)
            served.fleet.wish(DEVICE, wanted.revision, served.release, configuration=wanted)
            # Then the device goes over and stays
            report = served.end_of(wanted, since=0, fleet=there)
            assert (report.phase, report.current) == (Phase.COMMITTED, ref_of(wanted))
            # And comes back when it is told so there
            back = Configuration(revision=next(served.numbers), settings={})
            mark = served.fleet.mark
            served.fleet.wish(DEVICE, back.revision, served.release, configuration=back)
            there.wish(DEVICE, back.revision, served.release, configuration=back)
            assert served.end_of(back, since=mark).phase is Phase.COMMITTED


def test_a_change_cut_off_by_a_kill_is_taken_up_again_and_one_that_always_kills_is_left(served: Served) -> None:
    # Given a device that is in the middle of a long probation of other settings
    before, mark = served.in_force, served.fleet.mark
    wanted = served.configure({"update.probation_s": 3600})
    served.told(lambda report: report.phase is Phase.PROBATION, since=mark)
    for attempt in range(2, MAX_ATTEMPTS + 1):
        # When it is killed, it tries again, under the settings before
        served.kill()
        mark = served.fleet.mark
        served.device.start()
        # What the killed one said last may be heard only now
        report = served.told(partial(is_in_probation, attempt), since=mark)
        assert (report.current, report.candidate) == (before, ref_of(wanted))
    # Then after the last of its tries it leaves them, before they are applied once more
    served.kill()
    mark = served.fleet.mark
    served.device.start()
    report = served.told(lambda report: report.phase is Phase.ROLLED_BACK, since=mark)
    assert f"the agent died {MAX_ATTEMPTS} times while it was probation" in report.reason
    assert report.current == before
    until(lambda: served.device.who_serves() == "1")
    until(lambda: not (served.device.state / "configuration" / f"{wanted.sha256}.json").exists())


def test_committed_settings_that_were_damaged_on_disk_are_taken_from_the_wish_again(served: Served) -> None:
    mark = served.fleet.mark
    wanted = served.configure({"telemetry.health_interval_s": 0.3})
    assert served.end_of(wanted, since=mark).phase is Phase.COMMITTED
    assert served.device.stop() == 0
    kept = served.device.state / "configuration" / f"{wanted.sha256}.json"
    kept.write_bytes(kept.read_bytes().replace(b"0.3", b"0.9"))
    mark = served.fleet.mark
    served.device.start()
    session = served.fleet.wait_for_birth(DEVICE, online=True, since=mark).session
    served.fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.session == session and is_probation_of(wanted, event), since=mark)
    served.told(lambda report: (report.phase, report.current) == (Phase.COMMITTED, ref_of(wanted)), since=mark)
    until(lambda: ConfigurationFiles(served.device.state).read(ref_of(wanted)) == wanted)
