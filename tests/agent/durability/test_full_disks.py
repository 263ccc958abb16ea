"""An agent that starts on a disk without a byte to spare serves, says why it keeps nothing, and works as ever once there is room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.lifecycle import Phase
from contracts.messages import Health
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.agent.durability.test_worn_disks import fill
from tests.live.ports import free_port
from tests.live.power import small_disk
from tests.sim.fleet import SimFleet
from tests.sim.provisioned import write_device
from tests.sim.releases import make_release

DISK_BYTES = 200 << 20


@contextmanager
def device_on(folder: Path, fleet: SimFleet) -> Iterator[AgentProcess]:
    """Yield a device whose configuration and state lie in `folder`."""
    port = free_port()
    agent = AgentProcess(write_device(folder / "device", DEVICE, fleet, serve_port=port), port)
    try:
        yield agent
    finally:
        if agent.process is not None and agent.process.poll() is None:
            agent.stop()


def is_gone(device: AgentProcess) -> bool:
    """Say whether nobody serves any more."""
    try:
        return device.who_serves() == ""
    except ConnectionError:
        return False  # it is just going


def is_serving(health: Health) -> bool:
    """Say whether the model's worker serves; before it has begun there is none."""
    return "digits" in health.workers and health.workers["digits"].state == "serving"


@pytest.mark.parametrize("ends", ["in peace", "killed"])
def test_an_agent_that_starts_on_a_full_disk_serves_reports_and_recovers_when_there_is_room(
    tmp_path: Path, fleet: SimFleet, ends: str
) -> None:
    with small_disk(tmp_path, DISK_BYTES) as disk, device_on(disk, fleet) as device:
        # Given a device that serves release 1, and a disk that is full when it starts again
        first, second = make_release(1), make_release(2)
        log = device.config.parent / "agent.log"
        log.symlink_to(tmp_path / "agent.log")
        device.start()
        fleet.release(first)
        fleet.wish(DEVICE, 1, first)
        fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED and model.current == first.ref)
        if ends == "killed":
            device.kill()
            until(lambda: is_gone(device))  # its worker goes with it
        else:
            assert device.stop() == 0
        junk = disk / "junk"
        fill(junk)
        # When it starts
        mark = fleet.mark
        device.start()
        # Then it is known to the fleet, and serves
        fleet.wait_for_birth(DEVICE, online=True, since=mark)
        until(lambda: device.who_serves() == "1")
        fleet.wait_for(Health, DEVICE, is_serving, since=mark)
        # And says what it lacks, however it is asked to take a newer one
        fleet.release(second)
        fleet.wish(DEVICE, 2, second)
        until(lambda: "No space left on device" in device.log())
        assert device.who_serves() == "1"
        # And takes it once there is room again
        junk.unlink()
        fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED and model.current == second.ref)
        assert device.who_serves() == "2"
        assert "Traceback" not in device.log()
        assert device.stop() == 0
