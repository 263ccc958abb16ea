"""What survives: a restart of the server, the death of the broker, the death of the server itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fleet.broker_client import Listener, Login
from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, wait_for
from tests.fleet.test_broker_identity import is_let_in
from tests.sim.device import SimDevice


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_restart_keeps_devices_releases_and_rollouts_and_a_rollout_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    with FleetProcess(tmp_path / "home") as first:
        folder = first.add_device("pi-1")
        make_bundle(tmp_path / "b", release=1)
        first.ask("release", "add", str(tmp_path / "b"))
        first.ask("rollout", "start", "digits", "--to", "all")
        token = first.connection["token"]
        first.stop(number)
    assert first.exit_status == 0

    with FleetProcess(tmp_path / "home", first) as second, SimDevice(folder) as device:
        assert second.connection["token"] == token
        with second.api as api:
            ended = wait_for(lambda: view if (view := api.get("rollouts/1").json())["state"] != "running" else None)
        assert (ended["state"], device.problems) == ("succeeded", [])
        assert second.ask("release", "list")[0]["running_on"] == 1


def test_a_broker_that_dies_comes_back_with_all_that_devices_need(tmp_path: Path) -> None:
    with FleetProcess(tmp_path / "home") as fleet:
        folder = fleet.add_device("pi-1")
        with Listener(Login.of_viewer(fleet)) as listener:
            wait_for(lambda: listener.heard("ff/v1/pi-1/desired"))
        broker = wait_for(fleet.broker_pid)
        (fleet.folder / "broker" / "mosquitto.db").unlink(missing_ok=True)

        os.kill(broker, signal.SIGKILL)

        wait_for(lambda: fleet.broker_pid() not in (0, broker))
        # It is started before it listens
        wait_for(lambda: is_let_in(Login.of_device(fleet, folder)))
        make_bundle(tmp_path / "b", release=1)
        fleet.ask("release", "add", str(tmp_path / "b"))
        with SimDevice(folder):
            assert fleet.ask("rollout", "start", "digits", "--to", "all", "--wait")["state"] == "succeeded"


def test_the_broker_does_not_outlive_a_server_that_was_killed(tmp_path: Path) -> None:
    with FleetProcess(tmp_path / "home") as fleet:
        broker = wait_for(fleet.broker_pid)
        fleet.stop(signal.SIGKILL)

        wait_for(lambda: not is_running(broker))


def test_the_broker_stops_with_its_server_and_commands_say_that_nobody_answers(tmp_path: Path) -> None:
    with FleetProcess(tmp_path / "home") as fleet:
        broker = wait_for(fleet.broker_pid)
    assert fleet.exit_status == 0
    assert not is_running(broker)

    done = fleet.run("devices")

    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {fleet.connection['url']}: expected the fleet server, found no answer")
    assert done.stderr.endswith("start it with `fieldfare fleet up`\n")
