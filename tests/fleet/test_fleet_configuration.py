"""Settings from the command line to a real agent and back: real server, real broker, commands as an operator types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fleet.server import ROOT, FleetProcess, wait_for

STOP_S = 60.0


@contextmanager
def running_agent(folder: Path) -> Iterator[None]:
    """Run the real agent of an enrolled device."""
    command = (sys.executable, "-m", "cli", "agent", "run", "--config", str(folder / "agent.toml"))
    with (folder / "agent.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(STOP_S) == 0


def shown(fleet: FleetProcess, device: str, phase: str, revision: int) -> dict[str, Any] | None:
    """Return how a device is set once the newest attempt stands so."""
    with fleet.api as api:
        view: dict[str, Any] | None = api.get(f"devices/{device}").json()["configuration"]
    if view is None or view["reported"] is None or view["reported"]["last"] is None:
        return None
    told = view["reported"]
    return view if (told["phase"], told["last"]["release"]["release"]) == (phase, revision) else None


def test_an_operator_sets_a_device_and_sees_what_it_made_of_it(fleet: FleetProcess) -> None:
    # Given a device whose probation is short, and another one that is off
    folder = fleet.add_device("pi-1", "cpu", site="lyon")
    fleet.add_device("pi-2", "cpu", site="oslo")
    text = (folder / "agent.toml").read_text()
    (folder / "agent.toml").write_text(text.replace("probation_s = 30.0", "probation_s = 0.5"))
    with running_agent(folder):
        with fleet.api as api:
            wait_for(lambda: api.get("overview").json()["online"] == 1)
        # When an operator looks what a change would do, nothing is done
        rehearsed = fleet.ask("device", "configure", "pi-1", "--set", "telemetry.health_interval_s=0.5", "--dry-run")
        assert rehearsed == [
            {"device": "pi-1", "revision": 2, "before": {}, "after": {"telemetry.health_interval_s": 0.5}, "is_change": True}
        ]
        assert fleet.ask("device", "show", "pi-1")["configuration"] is None
        # When he makes it, the device tells by its digest that it is in force
        fleet.ask("device", "configure", "--to", "label.site = lyon", "--set", "telemetry.health_interval_s=0.5")
        view = wait_for(lambda: shown(fleet, "pi-1", "committed", 2))
        assert view["reported"]["current"]["manifest_sha256"] == view["sha256"]
        assert (view["author"], view["settings"]) == ("owner", {"telemetry.health_interval_s": 0.5})
        # And the same change again is none
        again = fleet.ask("device", "configure", "pi-1", "--set", "telemetry.health_interval_s=0.5")
        assert (again["devices"], again["changed"], again["such_as"][0]["is_change"]) == (1, 0, False)
        assert [(each["device"], each["state"]) for each in fleet.ask("device", "settings")] == [("pi-1", "in_force")]
        # When a change makes no sense on this device, it stays with what it had, and the fleet shows why
        fleet.ask("device", "configure", "pi-1", "--set", "delivery.folder=nowhere")
        view = wait_for(lambda: shown(fleet, "pi-1", "rolled_back", 3))
        assert "delivery.folder: expected a folder or a bundle at nowhere" in view["reported"]["reason"]
        (refused,) = fleet.ask("device", "settings", "--to", "all", "--state", "refused")
        assert (refused["device"], refused["revision"], refused["author"]) == ("pi-1", 3, "owner")
        assert "delivery.folder: expected a folder" in refused["reason"]
        assert fleet.ask("device", "settings", "--state", "in_force") == []
        page = fleet.run("device", "show", "pi-1").stdout
        assert "revision 3 by owner" in page
        assert "revision 2 (" in page
        assert "rolled back" in page
        # And the next change starts from what is in force, not from what was left
        taken_back = fleet.ask("device", "configure", "pi-1", "--unset", "delivery.folder", "--dry-run")
        assert (taken_back[0]["revision"], taken_back[0]["is_change"]) == (4, True)
        done = fleet.ask("device", "configure", "pi-1", "--set", "telemetry.window_s=5", "--unset", "telemetry.health_interval_s")[
            "such_as"
        ]
        assert done[0]["before"] == {"telemetry.health_interval_s": 0.5}
        assert done[0]["after"] == {"telemetry.window_s": 5.0}
        view = wait_for(lambda: shown(fleet, "pi-1", "committed", 4))
    # And the device that is off is wished what it was set to, for when it comes back
    assert fleet.ask("device", "configure", "pi-2", "--set", "storage.earlier_releases=2")["such_as"][0]["revision"] == 2
    assert "pi-2" in fleet.run("device", "settings", "--state", "waiting").stdout


def test_a_bad_value_is_refused_before_any_device_hears_of_it(fleet: FleetProcess) -> None:
    fleet.add_device("box", "cpu")
    asked = {
        ("--set", "telemetry.health_interval_s=-1"): "configuration: telemetry.health_interval_s: expected",
        ("--set", "device.id=other"): "configuration: device.id: expected one of broker.host",
        ("--unset", "trust.root_file"): "configuration: trust.root_file: expected one of broker.host",
    }
    for options, reason in asked.items():
        done = fleet.run("device", "configure", "box", *options)
        assert (done.returncode, done.stderr[:7]) == (2, "error: ")
        assert reason in done.stderr
    assert fleet.run("device", "configure", "--set", "telemetry.window_s=5").returncode == 2
    with fleet.api as api:
        # The API checks by itself, too
        body = {"query": "all", "set": {"worker.memory_mib": "much"}}
        refused = api.post("configurations", json=body)
        assert refused.status_code == 422
        assert "worker.memory_mib" in json.loads(refused.content)["detail"]
        nobody = api.post("configurations", json={"query": "id = nobody", "set": {}})
        assert "the query matches no device" in nobody.json()["detail"]
        assert api.get("devices/box").json()["configuration"] is None
