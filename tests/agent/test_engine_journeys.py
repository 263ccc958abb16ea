"""A release that needs an engine built on the device: built in the background, kept, built anew for another system, given up in time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from contracts.lifecycle import Phase
from contracts.messages import DeviceEvent, Health, ModelReport, Outcome
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.live.ports import free_port
from tests.sim.fleet import SimFleet
from tests.sim.provisioned import write_device
from tests.sim.releases import Release, make_release

JETSON = "jetson-orin"


def jetson_release(number: int) -> Release:
    return make_release(number, targets=(JETSON,))


class Jetson:
    """A device whose system lies in a folder, with a builder that stands in for TensorRT's."""

    def __init__(self, folder: Path, fleet: SimFleet) -> None:
        port = free_port()
        self.fleet = fleet
        self.log = folder / "builds.log"
        self.system = folder / "system"
        self.install_tensorrt("10.3.0")
        self.agent = AgentProcess(write_device(folder / "device", DEVICE, fleet, hardware=JETSON, serve_port=port), port)
        self.agent.system = self.system
        self.agent.building = {"log": str(self.log), "seconds": 0}

    def install_tensorrt(self, version: str) -> None:
        """Update the system."""
        folder = self.system / "usr" / "lib" / "aarch64-linux-gnu"
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / f"libnvinfer.so.{version}"
        old = next(folder.glob("libnvinfer.so.*"), None)
        if old is None:
            library.write_bytes(b"library")
        else:
            old.rename(library)  # in one step, because the agent may look just now

    def wish(self, release: Release, generation: int | None = None) -> None:
        """Have the fleet wish for a release."""
        self.fleet.release(release)
        self.fleet.wish(DEVICE, generation or release.manifest.release, release)

    def committed(self, release: Release) -> ModelReport:
        """Wait until it serves for good."""
        return self.hears(lambda model: model.phase is Phase.COMMITTED and model.current == release.ref)

    def hears(self, is_so: Callable[[ModelReport], bool], since: int = 0) -> ModelReport:
        """Wait until the device reports so; its builder only gets what nobody else on a busy machine wants."""
        return self.fleet.wait_for_model(DEVICE, is_so, since=since)

    def staging(self, text: str) -> ModelReport:
        """Wait until staging says so."""
        return self.hears(lambda model: model.phase is Phase.STAGING and text in model.reason)

    def ended(self, release: Release, since: int = 0) -> Outcome:
        """Wait for the end of a release's attempt that did not succeed."""

        def is_over(model: ModelReport) -> bool:
            return model.last is not None and model.last.release == release.ref and model.last.result is not Phase.COMMITTED

        report = self.hears(is_over, since)
        assert report.last is not None
        return report.last

    def who_serves(self, since: int) -> str:
        """Wait until a worker serves, and ask which release it is: till then callers are kept waiting."""

        def is_up(health: Health) -> bool:
            return "digits" in health.workers and health.workers["digits"].state == "serving"

        self.fleet.wait_for(Health, DEVICE, is_up, since=since)
        return self.agent.who_serves()

    def builds(self) -> list[dict[str, Any]]:
        """Return what was built so far, in order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def engine(self, release: Release) -> Path:
        """Return where the engine is that a worker finds."""
        return self.agent.state / "releases" / release.manifest.sha256 / ".device" / "engine" / "model_sm87.engine"

    def restart(self) -> int:
        """Stop the agent in good order and start it again; return the mark between the two."""
        assert self.agent.stop() == 0
        mark = self.fleet.mark
        self.agent.start()
        return mark


@pytest.fixture
def jetson(tmp_path: Path, fleet: SimFleet) -> Iterator[Jetson]:
    made = Jetson(tmp_path, fleet)
    yield made
    if made.agent.process is not None and made.agent.process.poll() is None:
        made.agent.stop()
    assert "Traceback" not in made.agent.log()
    # Whoever inherits what a stopped agent left takes a moment to see it off
    until(lambda: not any(is_alive(build["pid"]) for build in made.builds()))


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_engine_is_built_while_staging_out_of_everybodys_way_and_kept_for_the_next_start(jetson: Jetson) -> None:
    # Given a builder that takes its time
    jetson.agent.building["seconds"] = 2.5
    first = jetson_release(1)
    jetson.agent.start()
    # When a release arrives that needs an engine
    jetson.wish(first)
    # Then its staging tells how far it is
    assert "no earlier build to go by" in jetson.staging("building the engine for").reason
    jetson.committed(first)
    assert jetson.engine(first).read_bytes() == b"half"
    # And it took what nobody else wanted
    (build,) = jetson.builds()
    assert (build["nice"], build["is_idle"], build["disk"]) == (19, True, 3)
    # When the agent starts again, the engine is used as it is
    mark = jetson.restart()
    assert jetson.who_serves(since=mark) == "1"
    assert len(jetson.builds()) == 1
    # And the next build is measured against this one
    second = jetson_release(2)
    jetson.wish(second)
    report = jetson.hears(lambda model: model.candidate == second.ref and model.phase is Phase.STAGING and model.progress > 0)
    assert "the build before took" in report.reason
    assert report.progress < 1
    jetson.committed(second)
    assert [build["release"] for build in jetson.builds()] == [1, 2]


def test_after_an_update_of_the_system_the_engine_is_built_anew_before_the_model_serves(jetson: Jetson) -> None:
    first = jetson_release(1)
    jetson.agent.start()
    jetson.wish(first)
    jetson.committed(first)
    # When the system gets another TensorRT
    assert jetson.agent.stop() == 0
    jetson.install_tensorrt("10.7.0")
    mark = jetson.fleet.mark
    jetson.agent.start()
    # Then the release is built and proved once more, and that is told
    told = jetson.fleet.wait_for(DeviceEvent, DEVICE, lambda event: "proved again" in event.text, since=mark)
    assert "tensorrt libnvinfer.so.10.3.0 (7 bytes) -> libnvinfer.so.10.7.0 (7 bytes)" in told.text
    assert jetson.who_serves(since=mark) == "1"
    assert [build["release"] for build in jetson.builds()] == [1, 1]
    # And nothing is left of the engine before
    engines = jetson.engine(first).parent.parent / "engines"
    assert len(list(engines.iterdir())) == 1


def test_a_driver_that_is_upgraded_under_a_serving_model_is_proved_and_taken_over_without_a_gap(jetson: Jetson) -> None:
    first = jetson_release(1)
    jetson.agent.config.write_text(jetson.agent.config.read_text() + "[runtime]\nlook_s = 0.2\n")
    jetson.agent.start()
    jetson.wish(first)
    jetson.committed(first)
    mark = jetson.fleet.mark
    jetson.install_tensorrt("10.7.0")
    while not any("proved again" in event.text for event in jetson.fleet.all(DeviceEvent, since=mark)):
        assert jetson.agent.who_serves() == "1"
    assert [build["release"] for build in jetson.builds()] == [1, 1]
    # And no restart was counted
    assert jetson.fleet.wait_for(Health, DEVICE, lambda _: True, since=mark).workers["digits"].restarts == 0


def test_a_model_serves_on_where_the_changed_system_cannot_build_its_engine(jetson: Jetson) -> None:
    first = jetson_release(1)
    jetson.agent.config.write_text(jetson.agent.config.read_text() + "[runtime]\nlook_s = 0.2\n")
    jetson.agent.building["second"] = "fail"
    jetson.agent.start()
    jetson.wish(first)
    jetson.committed(first)
    mark = jetson.fleet.mark
    jetson.install_tensorrt("10.7.0")
    told = jetson.fleet.wait_for(DeviceEvent, DEVICE, lambda event: "serves on as it is" in event.text, since=mark)
    assert told.severity == "error"
    assert "could not find any implementation" in told.text
    assert jetson.agent.who_serves() == "1"


def test_a_release_that_fails_on_a_changed_system_is_told_and_the_one_before_serves(jetson: Jetson) -> None:
    # Given two committed releases
    first, second = jetson_release(1), jetson_release(2)
    jetson.agent.start()
    for release in (first, second):
        jetson.wish(release)
        jetson.committed(release)
    assert jetson.agent.stop() == 0
    # When the newer computes something else on the changed system
    jetson.install_tensorrt("10.7.0")
    jetson.agent.behaviours = {"2": "golden"}
    mark = jetson.fleet.mark
    jetson.agent.start()
    # Then that is an alarm, and the older serves after it proved itself there
    alarm = jetson.fleet.wait_for(DeviceEvent, DEVICE, lambda event: "fails its golden set since" in event.text, since=mark)
    assert alarm.severity == "error"
    outcome = jetson.ended(second, since=mark)
    assert outcome.result is Phase.ROLLED_BACK
    assert "cannot be proved on this device as it is now: it fails its golden set" in outcome.reason
    assert jetson.who_serves(since=mark) == "1"


def test_a_release_whose_engine_cannot_be_built_on_a_changed_system_is_left_for_the_one_before(jetson: Jetson) -> None:
    # Given two committed releases
    first, second = jetson_release(1), jetson_release(2)
    jetson.agent.start()
    for release in (first, second):
        jetson.wish(release)
        jetson.committed(release)
    assert jetson.agent.stop() == 0
    # When the changed system has no engine for the newer
    jetson.install_tensorrt("10.7.0")
    jetson.agent.building["2"] = "fail"
    mark = jetson.fleet.mark
    jetson.agent.start()
    # Then that is told, and the older serves with an engine that was built anew
    outcome = jetson.ended(second, since=mark)
    assert outcome.result is Phase.ROLLED_BACK
    assert "cannot be proved on this device as it is now: engine: expected it to be built" in outcome.reason
    assert jetson.who_serves(since=mark) == "1"
    assert jetson.engine(first).exists()


def test_the_only_release_serves_without_an_engine_where_none_can_be_built_and_is_not_built_for_again_and_again(jetson: Jetson) -> None:
    first = jetson_release(1)
    jetson.agent.start()
    jetson.wish(first)
    jetson.committed(first)
    assert jetson.agent.stop() == 0
    jetson.install_tensorrt("10.7.0")
    jetson.agent.building["1"] = "fail"
    mark = jetson.fleet.mark
    jetson.agent.start()
    told = jetson.fleet.wait_for(DeviceEvent, DEVICE, lambda event: "serves without an engine" in event.text, since=mark)
    assert told.severity == "error"
    assert "could not find any implementation" in told.text
    assert jetson.who_serves(since=mark) == "1"
    assert not jetson.engine(first).parent.exists()
    # When its worker is killed, then the next one is there without another build
    builds, mark = len(jetson.builds()), jetson.fleet.mark
    (worker,) = jetson.agent.children("tests.sim.worker")
    worker.kill()
    jetson.fleet.wait_for(Health, DEVICE, lambda health: health.workers["digits"].restarts == 1, since=mark)
    assert jetson.who_serves(since=mark) == "1"
    assert len(jetson.builds()) == builds
    # When it can be built after all, then the next start has it
    del jetson.agent.building["1"]
    mark = jetson.restart()
    assert jetson.who_serves(since=mark) == "1"
    assert jetson.engine(first).exists()


def test_a_model_that_no_release_proves_stays_away(jetson: Jetson) -> None:
    first = jetson_release(1)
    jetson.agent.start()
    jetson.wish(first)
    jetson.committed(first)
    assert jetson.agent.stop() == 0
    jetson.agent.behaviours = {"1": "golden"}
    mark = jetson.fleet.mark
    jetson.agent.start()
    jetson.fleet.wait_for(DeviceEvent, DEVICE, lambda event: "fails its golden set" in event.text, since=mark)
    health = jetson.fleet.wait_for(Health, DEVICE, lambda health: "digits" in health.workers, since=mark)
    assert health.workers["digits"].state != "serving"


def test_a_build_that_fails_fails_the_release_with_the_builders_last_lines_and_the_one_before_serves(jetson: Jetson) -> None:
    jetson.agent.building["2"] = "fail"
    first, second = jetson_release(1), jetson_release(2)
    jetson.agent.start()
    jetson.wish(first)
    jetson.committed(first)
    jetson.wish(second)
    outcome = jetson.ended(second)
    assert outcome.result is Phase.FAILED
    assert "exit status 1" in outcome.reason
    assert "layer conv1: could not find any implementation | [E] build failed" in outcome.reason
    assert jetson.agent.who_serves() == "1"


def test_a_build_ends_when_its_release_is_withdrawn(jetson: Jetson) -> None:
    jetson.agent.building["1"] = "hang"
    jetson.agent.start()
    jetson.wish(jetson_release(1))
    until(lambda: len(jetson.builds()) == 1)
    second = jetson_release(2)
    jetson.wish(second)
    jetson.committed(second)
    assert not is_alive(jetson.builds()[0]["pid"])
    assert [build["release"] for build in jetson.builds()] == [1, 2]
