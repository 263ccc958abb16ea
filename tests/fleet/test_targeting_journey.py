"""Whom a query means is shown before anything acts, and what was shown is what happens: real server, commands as they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, wait_for
from tests.sim.device import SimDevice

SITES = {"pi-1": "lyon", "pi-2": "oslo", "pi-3": "lyon"}


@pytest.fixture(scope="module")
def devices(fleet: FleetProcess) -> Iterator[dict[str, SimDevice]]:
    """Return three devices that are online, and one that never came."""
    with ExitStack() as stack:
        folders = [fleet.add_device(name, "rpi5", site=site) for name, site in SITES.items()]
        fleet.add_device("unheard", "coral")
        online = {folder.name: stack.enter_context(SimDevice(folder)) for folder in folders}
        with fleet.api as api:
            wait_for(lambda: api.get("overview").json()["online"] == 3)
        yield online


def listed(fleet: FleetProcess, query: str) -> list[str]:
    with fleet.api as api:
        found: list[dict[str, Any]] = api.get("devices", params={"query": query}).json()["items"]
    return [device["id"] for device in found]


@pytest.mark.usefixtures("devices")
def test_a_query_lists_the_devices_that_it_means_page_by_page(fleet: FleetProcess) -> None:
    assert [device["id"] for device in fleet.ask("device", "list", "--where", "label.site = lyon and online")] == ["pi-1", "pi-3"]
    assert listed(fleet, "not online") == ["unheard"]
    with fleet.api as api:
        first = api.get("devices", params={"query": "online", "limit": 2}).json()
        rest = api.get("devices", params={"query": "online", "limit": 2, "cursor": first["next"]}).json()
    assert [[device["id"] for device in page] for page in (first["items"], rest["items"])] == [["pi-1", "pi-2"], ["pi-3"]]

    wrong = fleet.run("device", "list", "--where", "free_dsk > 1GB")
    assert wrong.returncode == 2
    assert "position 1: expected a condition" in wrong.stderr
    assert wrong.stderr.endswith("did you mean free_disk?\n")


@pytest.mark.usefixtures("devices")
def test_labels_are_shown_before_they_change_and_change_as_they_were_shown(fleet: FleetProcess) -> None:
    shown = fleet.ask("device", "label", "--to", "label.site = lyon", "room=5", "-site", "--dry-run")
    assert [(change["device"], change["after"]) for change in shown] == [("pi-1", {"room": "5"}), ("pi-3", {"room": "5"})]
    assert listed(fleet, "label.room = 5") == []
    # Nobody said yes
    assert fleet.run("device", "label", "--to", "label.site = lyon", "room=5").returncode == 1
    assert listed(fleet, "label.room = 5") == []

    assert fleet.ask("device", "label", "--to", "label.site = lyon", "room=5", "--yes")["changed"] == ["pi-1", "pi-3"]
    assert listed(fleet, "label.room = 5") == ["pi-1", "pi-3"]
    assert fleet.ask("device", "label", "pi-3", "-room", "floor=2")["changed"] == ["pi-3"]
    assert fleet.ask("device", "show", "pi-3")["labels"] == {"floor": "2", "site": "lyon"}

    bad = fleet.run("device", "label", "pi-3", "room")
    assert (bad.returncode, bad.stderr) == (
        2,
        "error: command line: labels: expected KEY=VALUE to set or -KEY to remove, each once, found room\n",
    )
    with fleet.api as api:
        stale = api.post("device-labels", json={"devices": {"pi-3": "0" * 16}, "put": {"room": "6"}})
    assert stale.status_code == 412


@pytest.mark.usefixtures("devices")
def test_a_group_follows_its_query_or_stays_a_list_and_is_changed_only_by_who_saw_it(fleet: FleetProcess) -> None:
    assert fleet.ask("group", "set", "first", "--device", "pi-2")["members"] == ["pi-2"]
    assert fleet.ask("group", "set", "there", "--where", "online and hw = rpi5")["query"] == 'online and hw = "rpi5"'
    assert listed(fleet, "group = there and not group = first") == ["pi-1", "pi-3"]
    assert [(group["name"], group["devices"]) for group in fleet.ask("group", "list")] == [("first", 1), ("there", 3)]

    with fleet.api as api:
        tag = api.get("groups/first").headers["ETag"]
        assert api.put("groups/first", json={"devices": ["pi-1"]}, headers={"If-Match": tag}).status_code == 200
        assert api.put("groups/first", json={"devices": []}, headers={"If-Match": tag}).status_code == 412
        assert api.put("groups/again", json={"query": "group = first"}).status_code == 422
        assert api.put("groups/both", json={"query": "all", "devices": []}).status_code == 422
    assert fleet.run("group", "remove", "first").returncode == 0
    gone = fleet.run("device", "list", "--where", "group = first")
    assert (gone.returncode, gone.stderr) == (
        2,
        "error: group first: expected a saved group, found none; `fieldfare group list` lists them\n",
    )


def test_what_a_dry_run_shows_is_what_a_rollout_freezes_and_no_label_moves_it(
    fleet: FleetProcess, devices: dict[str, SimDevice], tmp_path: Path
) -> None:
    make_bundle(tmp_path / "one", release=1, targets=("cpu", "rpi5"))
    fleet.ask("release", "add", str(tmp_path / "one"))
    assert fleet.run("device", "label", "pi-2", "room=7").returncode == 0

    foreseen = fleet.ask("rollout", "start", "digits", "--to", "label.room = 7 or hw = coral", "--dry-run")
    shown = fleet.run("rollout", "start", "digits", "--to", "label.room = 7 or hw = coral", "--dry-run")

    assert [(device["device"], device["target"], device["unknown"]) for device in foreseen["chosen"]] == [
        ("pi-2", "rpi5", ["disk", "memory"]),
        ("unheard", "cpu", ["runtime", "disk", "memory"]),
    ]
    assert foreseen["chosen"][0]["download_bytes"] > 600_000
    assert "2 devices would get it; nothing was changed" in shown.stdout
    with fleet.api as api:
        assert api.get("rollouts").json()["items"] == []

    # Given a rollout whose device takes its time
    devices["pi-2"].fate = "stay_silent"
    rollout = fleet.ask("rollout", "start", "digits", "--to", "label.room = 7")
    # When labels change so that others are meant
    with fleet.api as api:
        api.post("device-labels", json={"devices": {"pi-2": None}, "drop": ["room"]})
        api.post("device-labels", json={"devices": {"pi-1": None}, "put": {"room": "7"}})
    assert listed(fleet, "label.room = 7") == ["pi-1"]
    # Then the rollout's list is what it was, and nobody else is told
    with fleet.api as api:
        assert frozen(api, rollout["id"]) == ["pi-2"]
        assert "digits" not in api.get("devices/pi-1").json()["desired"]


def frozen(api: httpx.Client, rollout: int) -> list[str]:
    return [device["device"] for device in api.get(f"rollouts/{rollout}/devices").json()["items"]]
