"""A device that is removed: out at once on a real broker, left out of what is under way, and not mixed up with the next of its name."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from contracts.downlinks import Desired
from tests.fleet.broker_client import Listener, Login
from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, wait_for
from tests.fleet.test_broker_identity import SECONDS, connected, is_let_in
from tests.sim.device import SimDevice

LEAVES = ("desired", "birth", "reported")


def retained(fleet: FleetProcess, device: str, other: str) -> set[str]:
    """Return what the broker retains of a device: all of it is here once anything of another is, which was asked for after it."""
    with Listener(Login.of_viewer(fleet), f"ff/v1/{device}/+", f"ff/v1/{other}/desired") as viewer:
        wait_for(lambda: viewer.heard(f"ff/v1/{other}/desired"))
        return {leaf for leaf in LEAVES if viewer.heard(f"ff/v1/{device}/{leaf}")}


def told(fleet: FleetProcess, path: str) -> Any:
    with fleet.api as api:
        return api.get(path).raise_for_status().json()


def generation_of(fleet: FleetProcess, device: str) -> int:
    with Listener(Login.of_viewer(fleet)) as viewer:
        envelope = json.loads(wait_for(lambda: viewer.heard(f"ff/v1/{device}/desired"))[-1])
    return Desired.model_validate_json(base64.b64decode(envelope["payload"])).generation


def test_a_removed_device_is_out_and_forgotten_a_rollout_goes_on_without_it_and_its_name_counts_on(tmp_path: Path) -> None:
    # Given a rollout that waits for one device that is silent, while another has committed
    make_bundle(tmp_path / "one", release=1, size=1000)
    with FleetProcess(tmp_path / "home") as fleet, ExitStack() as stack:
        folder, other = fleet.add_device("gone"), fleet.add_device("stays")
        login = Login.of_device(fleet, folder)
        mute = stack.enter_context(SimDevice(folder, fate="stay_silent"))
        stack.enter_context(SimDevice(other))
        with fleet.api as api:
            wait_for(lambda: api.get("overview").json()["online"] == 2)
        fleet.ask("group", "set", "pair", "--device", "gone", "--device", "stays")
        fleet.ask("release", "add", str(tmp_path / "one"))
        fleet.ask("rollout", "start", "digits", "--to", "all")
        wait_for(lambda: told(fleet, "rollouts/1")["counts"].get("committed") == 1)
        reached = wait_for(lambda: (found := told(fleet, "devices/gone")["generation_desired"]) > 1 and found)
        wait_for(lambda: retained(fleet, "gone", "stays") == set(LEAVES))
        # When somebody asks for its removal and thinks better of it, then nothing happens
        doubtful = fleet.run("device", "remove", "gone")
        assert doubtful.returncode == 1
        with connected(login, "second") as ends:
            assert ends.empty()
            # When it is removed
            assert fleet.ask("device", "remove", "gone", "--yes") == {"device": "gone", "kept_history": False}
            # Then its connections end, and it cannot come back
            assert ends.get(timeout=SECONDS) == "Administrative action"
        assert not is_let_in(login)
        assert mute.problems == []
        # And it is in no list, the broker retains nothing of it, and the rollout has ended well without it
        assert [each["id"] for each in told(fleet, "devices")["items"]] == ["stays"]
        assert told(fleet, "groups/pair")["devices"] == 1
        wait_for(lambda: retained(fleet, "gone", "stays") == set())
        done = wait_for(lambda: (found := told(fleet, "rollouts/1"))["ended_at"] and found)
        assert (done["state"], done["counts"]) == ("succeeded", {"committed": 1, "cancelled": 1})
        assert "device gone was removed from the fleet" in [line["text"] for line in told(fleet, "rollouts/1/history")["items"]]
        again = fleet.run("device", "remove", "gone", "--yes")
        assert (again.returncode, "expected a device of this fleet" in again.stderr) == (2, True)
        # When the server and its broker start again, then it is still out
    with FleetProcess(tmp_path / "home", fleet) as second:
        assert not is_let_in(login)
        assert retained_by(second) == {"stays"}
        # When the name comes back, then by a token made for it alone, and its wishes count on
        folder.rename(tmp_path / "old")
        refused = second.enroll(second.token(), tmp_path / "thief", "--name", "gone")
        assert (refused.returncode, "device gone: expected a new id" in refused.stderr) == (2, True)
        fresh = second.add_device("gone")
        assert is_let_in(Login.of_device(second, fresh))
        assert generation_of(second, "gone") > reached


def retained_by(fleet: FleetProcess) -> set[str]:
    with Listener(Login.of_viewer(fleet), "ff/v1/#", "ff/v1/stays/desired") as viewer:
        wait_for(lambda: len(viewer.heard("ff/v1/stays/desired")) > 1)
        return {topic.split("/")[2] for topic in viewer.topics()} - {"trust"}
