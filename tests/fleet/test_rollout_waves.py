"""Rollouts in waves as operators run them: real server, real broker, played devices, commands and the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fleet.played import add_release, settled_devices
from tests.fleet.server import FleetProcess, wait_for

DEVICES = 40
QUICK = """
health_interval_s = 1
window_s = 1
requests_per_s = 100
download_s = 0.2
probation_s = 0.2
connect_s = 0.5
[releases."digits 2"]
errors = 0.3
[releases."digits 4"]
rolled_back = 0.5
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    """A server whose played devices all run release 1, and which has a bad release 2 and a good release 3."""
    folder = tmp_path_factory.mktemp("waves")
    with FleetProcess(folder / "home", None, "--simulation") as fleet, settled_devices(fleet, folder, DEVICES, QUICK):
        yield fleet


def at_its_end(fleet: FleetProcess, rollout: int) -> dict[str, Any]:
    """Wait for a rollout's end."""

    def ended() -> dict[str, Any] | None:
        with fleet.api as api:
            view: dict[str, Any] = api.get(f"rollouts/{rollout}").json()
            lines = api.get(f"rollouts/{rollout}/history").json()["items"]
        return {**view, "history": lines[::-1]} if view["ended_at"] else None

    return wait_for(ended, seconds=120)


def wished(fleet: FleetProcess) -> set[int]:
    with fleet.api as api:
        names = [device["id"] for device in api.get("devices").json()["items"]]
        return {api.get(f"devices/{name}").json()["desired"]["digits"]["release"] for name in names}


def test_a_bad_release_is_stopped_in_its_first_wave_and_taken_back(stage: FleetProcess, tmp_path: Path) -> None:
    add_release(stage, tmp_path, 2)

    options = ("--strategy", "canary", "--waves", "25%,100%", "--gate", "errors=0.02,p95=3", "--soak", "60s")
    started = stage.ask("rollout", "start", "digits", "--to", "all", *options)
    ended = at_its_end(stage, started["id"])

    assert ended["state"] == "failed"
    assert ended["state_reason"].startswith("gate: errors ")
    assert 0.15 < ended["gate"]["metrics"][0]["canary"] < 0.5  # 30 % of some hundred requests
    assert [(wave["devices"], wave["offered"]) for wave in ended["waves"]] == [(10, 10), (30, 0)]
    assert ended["counts"] == {"cancelled": DEVICES}
    assert ended["gate"]["metrics"][0]["probability_worse"] > 0.99
    assert wished(stage) == {1}
    assert [(line["actor"], line["act"]) for line in ended["history"]] == [("owner", "start"), ("fleet", "stop"), ("fleet", "end")]
    shown = stage.run("rollout", "show", str(started["id"]), "--history")
    assert "owner" in shown.stdout
    assert "taken back: the rollout was stopped" in stage.run("rollout", "show", str(started["id"])).stdout


def test_a_good_release_waits_for_a_second_person_goes_through_its_waves_and_is_rolled_back(stage: FleetProcess, tmp_path: Path) -> None:
    # Given a rollout that wants the approval of a second person
    add_release(stage, tmp_path, 3)
    options = ("--strategy", "phased", "--waves", "5,50%,100%", "--approval", "--rate", "1000/min", "--soak", "1s")
    started = stage.ask("rollout", "start", "digits", "--to", "all", *options)
    number = started["id"]
    assert (started["state"], started["counts"]) == ("waiting", {"planned": DEVICES})
    # When the one who started it approves it, then he is refused; another one is not
    refused = stage.run("rollout", "approve", str(number))
    assert (refused.returncode, "expected the approval of a second person, found token owner" in refused.stderr) == (2, True)
    with stage.api as api:
        token = api.post("tokens", json={"name": "bert", "role": "operator"}).json()["token"]
    with httpx.Client(base_url=stage.connection["url"] + "/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=30) as bert:
        assert bert.post(f"rollouts/{number}/approve").json()["state"] == "running"
        assert bert.post(f"rollouts/{number}/approve").status_code == 409
    # Then it goes through all its waves
    ended = at_its_end(stage, number)
    assert (ended["state"], ended["counts"]) == ("succeeded", {"committed": DEVICES})
    assert [wave["devices"] for wave in ended["waves"]] == [5, 15, 20]
    acts = [(line["actor"], line["act"]) for line in ended["history"]]
    assert acts == [("owner", "start"), ("bert", "approve"), ("fleet", "wave"), ("fleet", "wave"), ("fleet", "end")]
    # And there is nobody to try again, but its rollback brings each device back to what it ran
    again = stage.run("rollout", "retry", str(number))
    assert (again.returncode, "expected devices for a retry, found none" in again.stderr) == (2, True)
    back = stage.ask("rollout", "rollback", str(number), "--wait")
    assert (back["kind"], back["origin"], back["counts"]) == ("rollback", number, {"committed": DEVICES})
    # What was to be watched is not watched again
    with stage.api as api:
        assert api.get(f"rollouts/{number}").json()["plan"]["soak_s"] == 1
        assert api.get(f"rollouts/{back['id']}").json()["plan"]["soak_s"] == 0
    assert wished(stage) == {1}


def test_a_retry_means_those_that_were_lost_and_nobody_else(stage: FleetProcess, tmp_path: Path) -> None:
    add_release(stage, tmp_path, 4)
    first = stage.run("rollout", "start", "digits", "--to", "all", "--wait", "--json")
    lost = {device["device"] for device in json.loads(first.stdout)["devices"] if device["phase"] == "rolled_back"}
    assert 0 < len(lost) < DEVICES
    assert "rolled back" in first.stderr

    again = stage.run("rollout", "retry", str(json.loads(first.stdout)["id"]), "--wait", "--json")

    view = json.loads(again.stdout)
    assert ({device["device"] for device in view["devices"]}, view["kind"]) == (lost, "retry")
    assert view["counts"]["committed"] > 0


def test_people_pause_and_abort_a_rollout(stage: FleetProcess, tmp_path: Path) -> None:
    add_release(stage, tmp_path, 5)  # a good one: what fails by itself may have ended before anybody pauses it
    started = stage.ask("rollout", "start", "digits", "--to", "all", "--strategy", "phased", "--waves", "1,100%", "--soak", "1h")
    number = str(started["id"])

    assert stage.ask("rollout", "pause", number)["state"] == "paused"
    assert stage.run("rollout", "pause", number).returncode == 2
    assert stage.ask("rollout", "resume", number)["state"] == "running"
    assert stage.ask("rollout", "abort", number)["state"] == "aborted"
    ended = at_its_end(stage, started["id"])

    assert ended["state_reason"] == "by owner"
    assert sum(wave["offered"] for wave in ended["waves"]) <= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--waves", "50%,20%,100%", "--strategy", "phased"), "waves: expected sizes that grow"),
        (("--waves", "50%", "--strategy", "canary"), "waves: expected 100% for the last"),
        (("--waves", "50%,100%"), "waves: expected one for all-at-once"),
        (("--gate", "errors=0.02"), "gate: expected it for waves or a split"),
        (("--gate", "p95=0.9", "--strategy", "canary"), "gate: expected a multiple above 1 for p95"),
        (("--gate", "errors", "--strategy", "canary"), "--gate: expected NAME=LIMIT"),
        (("--strategy", "split"), "rival: expected a second release for a split"),
        (("--rate", "100"), "--rate: expected a number of devices a minute"),
        (("--zone", "Mars/Olympus"), "zone: expected a time zone of this system"),
        (("--window", "22-6"), "window: expected"),
    ],
)
def test_what_does_not_fit_together_is_one_line(stage: FleetProcess, options: tuple[str, ...], said: str) -> None:
    done = stage.run("rollout", "start", "digits", "--to", "all", *options)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
