"""From a bundle to devices that run it: real server, real broker, commands as an operator types them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, wait_for
from tests.sim.device import SimDevice


def test_a_release_reaches_the_devices_it_was_meant_for_and_a_broken_one_is_withdrawn(fleet: FleetProcess, tmp_path: Path) -> None:
    first = make_bundle(tmp_path / "one", release=1, targets=("cpu", "rpi5"), size=1_500_000)
    folders = [fleet.add_device("pi-1", "rpi5", site="lyon"), fleet.add_device("pi-2", "rpi5", site="oslo"), fleet.add_device("box", "cpu")]
    with ExitStack() as stack:
        devices = {folder.name: stack.enter_context(SimDevice(folder)) for folder in folders}
        with fleet.api as api:
            wait_for(lambda: api.get("overview").json()["online"] == 3)
        fleet.ask("release", "add", str(tmp_path / "one"))

        done = fleet.run("rollout", "start", "digits", "--to", 'hw = rpi5 and label.site = "lyon"', "--wait")

        assert done.returncode == 0, done.stderr
        assert devices["pi-1"].models["digits"].current is not None
        assert devices["pi-2"].models == {}
        everyone = fleet.ask("rollout", "start", "digits", "--to", "all", "--wait")
        assert (everyone["state"], everyone["counts"]) == ("succeeded", {"committed": 3})
        assert fleet.ask("release", "list")[0]["running_on"] == 3

        make_bundle(tmp_path / "two", release=2, targets=("cpu", "rpi5"))
        fleet.ask("release", "add", str(tmp_path / "two"))
        devices["box"].fate = "roll_back"
        broken = fleet.run("rollout", "start", "digits", "--to", "id = box", "--wait", "--json")

        assert broken.returncode == 1
        assert broken.stderr == "error: rollout 3: expected every device to commit, found 1 rolled back\n"
        wanted = wait_for(lambda: _desired_if_withdrawn(fleet, first.sha256))
        assert wanted["release"] == 1
        devices["box"].fate = "commit"
        assert fleet.ask("rollout", "start", "digits", "--to", "id = box", "--wait")["counts"] == {"committed": 1}
        assert [device.problems for device in devices.values()] == [[], [], []]
    with fleet.api as api:
        wait_for(lambda: [device["status"] for device in api.get("devices").json()["items"]] == ["offline"] * 3)


def _desired_if_withdrawn(fleet: FleetProcess, sha256: str) -> dict[str, Any] | None:
    wanted: dict[str, Any] = fleet.ask("device", "show", "box")["desired"]["digits"]
    return wanted if wanted["manifest_sha256"] == sha256 else None
