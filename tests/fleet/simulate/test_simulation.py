"""A rehearsal as an operator does it: real server, real broker, played devices, one command each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.bundles import make_bundle
from tests.fleet.played import BOUND_S, leave, simulate
from tests.fleet.server import FleetProcess, wait_for

QUICK = """
health_interval_s = 1
window_s = 1
download_s = 0.5
probation_s = 0.5
connect_s = 0.5
"""
MIXED = """
[[groups]]
share = 0.8
[[groups]]
share = 0.2
behaviour = "failing"
[faults]
drop = 0.02
reorder = 0.02
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    """A server that takes played devices."""
    with FleetProcess(tmp_path_factory.mktemp("stage") / "home", None, "--simulation") as running:
        yield running


def nobody_is_online(fleet: FleetProcess) -> bool:
    with fleet.api as api:
        return bool(api.get("overview").json()["online"] == 0)


def test_played_devices_connect_follow_a_rollout_and_leave(stage: FleetProcess, tmp_path: Path) -> None:
    scenario = tmp_path / "mixed.toml"
    scenario.write_text(QUICK + MIXED)
    make_bundle(tmp_path / "one", release=1)
    stage.ask("release", "add", str(tmp_path / "one"))
    played = simulate(stage, "--devices", "40", "--faults", str(scenario), "--seconds", BOUND_S)
    try:
        with stage.api as api:
            wait_for(lambda: api.get("overview").json()["online"] >= 30)
        done = stage.run("rollout", "start", "digits", "--to", "all", "--deadline-s", "20", "--wait", "--json")
    finally:
        out, err = leave(played)

    view = json.loads(done.stdout)
    assert set(view["counts"]) <= {"committed", "rolled_back", "failed"}, done.stderr
    assert view["counts"]["rolled_back"] >= 4
    told = json.loads(out)
    assert err == ""
    assert told["devices"] == 40
    assert told["releases"]["digits 1"] >= view["counts"]["committed"] >= 20
    assert told["messages"]["dropped"] > 0
    assert told["messages"].get("refused", 0) == 0
    wait_for(lambda: nobody_is_online(stage))


@pytest.mark.parametrize(("fault", "word"), [("drop", "dropped"), ("reorder", "reordered")])
def test_the_server_misses_what_was_dropped_and_nothing_that_came_late(stage: FleetProcess, tmp_path: Path, fault: str, word: str) -> None:
    scenario = tmp_path / "faults.toml"
    scenario.write_text(f"{QUICK}[faults]\n{fault} = 0.2\n")

    played = simulate(stage, "--devices", "20", "--faults", str(scenario), "--seconds", "8", "--prefix", fault)
    out, err = played.communicate(timeout=180)

    befell = json.loads(out)["messages"][word]
    assert err == ""
    assert befell > 5
    # A device's farewell comes after all else that it said.
    wait_for(lambda: nobody_is_online(stage))
    with stage.api as api:
        gaps = [gap for number in range(20) for gap in api.get(f"devices/{fault}-{number:05}").json()["gaps"]]
    lost = sum(gap["lost"] for gap in gaps)
    # The last one of a session leaves no gap, because nothing comes after it.
    assert (0 < lost <= befell) if fault == "drop" else (lost == 0)


def test_what_a_device_is_and_runs_is_said_again_where_it_was_dropped(stage: FleetProcess, tmp_path: Path) -> None:
    # Given devices of which every second message never reaches the broker
    scenario = tmp_path / "faults.toml"
    scenario.write_text(f"{QUICK}[faults]\ndrop = 0.5\n")
    played = simulate(stage, "--devices", "20", "--faults", str(scenario), "--seconds", BOUND_S, "--prefix", "deaf")
    try:
        with stage.api as api:
            devices = [f"devices/deaf-{number:05}" for number in range(20)]
            wait_for(lambda: api.get(devices[-1]).status_code == 200)
            # Then none of them stays one that never said what it is
            wait_for(lambda: all(api.get(device).json()["birth"] is not None for device in devices))
    finally:
        leave(played)
    wait_for(lambda: nobody_is_online(stage))


def test_the_door_is_its_owners_alone_and_a_name_opens_no_other_topics(stage: FleetProcess) -> None:
    door = stage.folder / "simulation.sock"

    assert door.is_socket()
    assert stage.folder.stat().st_mode & 0o077 == 0
    assert door.stat().st_mode & 0o007 == 0


def test_a_real_device_is_never_played(stage: FleetProcess) -> None:
    stage.add_device("twin-00000")

    played = simulate(stage, "--devices", "1", "--prefix", "twin", "--seconds", "1")
    _, err = played.communicate(timeout=180)

    assert played.returncode != 0
    assert "twin-00000" in err


def test_a_server_for_real_devices_takes_no_others(fleet: FleetProcess) -> None:
    done = fleet.run("fleet", "simulate", "--devices", "1", "--seconds", "1")

    assert done.returncode != 0
    assert "start it so" in done.stderr
    assert not (fleet.folder / "simulation.sock").exists()


def test_more_devices_than_the_system_has_room_for_are_refused_before_anything_else(stage: FleetProcess) -> None:
    done = stage.run("fleet", "simulate", "--devices", "1000000")

    assert done.returncode == 2
    assert "--devices: expected at most" in done.stderr


def test_played_devices_take_settings_or_say_why_not(tmp_path: Path) -> None:
    scenario = tmp_path / "steady.toml"
    scenario.write_text(QUICK)
    with FleetProcess(tmp_path / "home", None, "--simulation") as fleet:
        played = simulate(fleet, "--devices", "10", "--faults", str(scenario), "--seconds", BOUND_S)
        try:
            with fleet.api as api:
                wait_for(lambda: api.get("overview").json()["online"] == 10)
            # When all are set, then they say that they are
            fleet.ask("device", "configure", "--to", "all", "--set", "telemetry.window_s=2")
            wait_for(lambda: len(fleet.ask("device", "settings", "--state", "in_force")) == 10)
            # And one that cannot take its settings says why
            fleet.ask("device", "configure", "sim-00003", "--set", "worker.memory_mib=8192")
            wait_for(lambda: [each["device"] for each in fleet.ask("device", "settings", "--state", "refused")] == ["sim-00003"])
        finally:
            out, err = leave(played)
    assert err == ""
    assert json.loads(out)["messages"].get("refused", 0) == 0
