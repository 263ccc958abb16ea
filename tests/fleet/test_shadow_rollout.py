"""Rollouts by shadow through server, broker, command line and played devices: one that agrees serves, one that does not never does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.lifecycle import Phase
from tests.fleet.played import add_release, settled_devices
from tests.fleet.server import FleetProcess, wait_for
from tests.fleet.test_rollout_waves import at_its_end, wished

DEVICES = 12
SCENARIO = """
health_interval_s = 5
window_s = 1
requests_per_s = 100
download_s = 0.2
probation_s = 0.2
connect_s = 0.5
[releases."digits 2"]
disagreement = 0.3
"""
OPTIONS = ("--strategy", "shadow", "--share", "5%", "--gate", "agreement=0.98", "--waves", "50%,100%", "--min-inputs", "150")


def phases(fleet: FleetProcess) -> set[str]:
    with fleet.api as api:
        return {device["models"]["digits"]["phase"] for device in api.get("devices").json()["items"]}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[FleetProcess]:
    """A server whose played devices all run release 1."""
    with FleetProcess(tmp_path / "home", None, "--simulation") as fleet, settled_devices(fleet, tmp_path, DEVICES, SCENARIO):
        yield fleet


def test_a_release_serves_once_it_agrees_and_one_that_does_not_is_never_served(stage: FleetProcess, tmp_path: Path) -> None:
    # Given a release that decides otherwise on three inputs of ten
    add_release(stage, tmp_path, 2)
    # When it is rolled out by shadow, then it is stopped in its first wave, and wished of nobody
    number = stage.ask("rollout", "start", "digits", "--to", "all", *OPTIONS)["id"]
    ended = at_its_end(stage, number)
    assert ended["state"] == "failed"
    assert ended["state_reason"].startswith("gate: disagreement ")
    assert [(wave["devices"], wave["offered"]) for wave in ended["waves"]] == [(6, 6), (6, 0)]
    assert 0.6 < ended["shadow"]["agreement"] < 0.8
    assert wished(stage) == {1}
    # And nobody goes on running it beside what serves
    wait_for(lambda: Phase.SHADOW not in phases(stage))
    # When one that agrees is, then all devices serve it, wave after wave
    add_release(stage, tmp_path, 3)
    number = stage.ask("rollout", "start", "digits", "--to", "all", *OPTIONS)["id"]
    ended = at_its_end(stage, number)
    assert (ended["state"], ended["counts"]) == ("succeeded", {"committed": DEVICES})
    assert (ended["shadow"]["agreement"], ended["shadow"]["proven"]) == (1.0, 2)
    assert [line["act"] for line in ended["history"]] == ["start", "prove", "wave", "prove", "end"]
    assert wished(stage) == {3}
    assert "shadow: agreement 100.00%" in stage.run("rollout", "show", str(number)).stdout
    # And what asks for a shadow without being one is refused
    refused = stage.run("rollout", "start", "digits", "--to", "all", "--share", "5%")
    assert (refused.returncode, "for the strategy shadow only" in refused.stderr) == (2, True)
