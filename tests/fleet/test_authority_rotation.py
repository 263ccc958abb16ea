"""One root of the fleet's authority follows another: real agents, a real broker and the real doors, and nobody is cut off unnamed."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.identity import blocks, fingerprints
from tests.fleet.broker_client import Listener, Login
from tests.fleet.server import FleetProcess, wait_for
from tests.fleet.test_broker_identity import connected, is_let_in
from tests.fleet.test_renewal import running_agent

# Each step starts processes, on machines that may be busy.
SECONDS = 180.0


def dependents(fleet: FleetProcess) -> set[str]:
    """Return who depends on the present authority, read a device at a time."""
    found = set[str]()
    cursor: dict[str, str] = {}
    with fleet.api as api:
        while True:
            page = api.get("authority/dependents", params={"limit": 1, **cursor}).raise_for_status().json()
            assert len(page["items"]) <= 1
            found |= {each["device"] for each in page["items"]}
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}


def state_of(fleet: FleetProcess) -> dict[str, Any]:
    with fleet.api as api:
        found: dict[str, Any] = api.get("authority").raise_for_status().json()
    return found


def about(fleet: FleetProcess, device: str) -> dict[str, Any]:
    with fleet.api as api:
        found: dict[str, Any] = api.get(f"devices/{device}").raise_for_status().json()
    return found


def believed_by(folder: Path) -> list[str]:
    return fingerprints(next((folder / "state").glob("authorities-*.pem")).read_text())


def born_by(fleet: FleetProcess, device: str) -> str | None:
    """Return the authority that a device named when it connected, while it is online."""
    with Listener(Login.of_viewer(fleet)) as viewer:
        birth = json.loads(wait_for(lambda: viewer.heard(f"ff/v1/{device}/birth"))[-1])
    return birth["authority"] if birth["online"] else None


def is_over(fleet: FleetProcess, device: str, folder: Path, authority: str) -> bool:
    """Say whether a device is online by an authority, and believes no other."""
    return born_by(fleet, device) == authority and believed_by(folder) == [authority]


@pytest.mark.timeout(900)  # the steps together, each of which starts processes
def test_a_fleet_comes_over_to_its_next_authority_and_lets_the_old_one_go(tmp_path: Path) -> None:
    with ExitStack() as agents:
        with FleetProcess(tmp_path / "home") as fleet:
            folders = {name: fleet.add_device(name) for name in ("early", "late", "never")}
            agents.enter_context(running_agent(folders["early"]))
            wait_for(lambda: born_by(fleet, "early"), seconds=SECONDS)
            # When the next authority is introduced, then who is online comes over, and nobody loses his connection
            with connected(Login.of_viewer(fleet)) as viewer, connected(Login.of_device(fleet, folders["never"])) as bystander:
                made = fleet.ask("authority", "rotate")
                old, new = made["present"]["fingerprint"], made["following"]["fingerprint"]
                assert made["dependents"] == 3
                assert "never" in {each["device"] for each in fleet.ask("authority", "dependents")}
                wait_for(lambda: dependents(fleet) == {"late", "never"}, seconds=SECONDS)
                assert (viewer.empty(), bystander.empty()) == (True, True)
            assert believed_by(folders["early"]) == [old, new]
            wait_for(lambda: born_by(fleet, "early") == new, seconds=SECONDS)
            # And a second one has to wait, and so does the end of the old one, until nobody depends on it
            assert "expected no successor" in fleet.run("authority", "rotate").stderr
            early = fleet.run("authority", "finish")
            assert (early.returncode, "found late, never;" in early.stderr) == (2, True)
            # When a device that was off comes back within the overlap, then it comes over too
            agents.enter_context(running_agent(folders["late"]))
            wait_for(lambda: dependents(fleet) == {"never"}, seconds=SECONDS)
            # When the one that stays away is left, then it is out by name
            done = fleet.ask("authority", "finish", "--leave")
            assert (done["is_retiring"], done["dependents"]) == (True, 0)
            assert about(fleet, "never")["status_reason"] == "revoked"
            before = about(fleet, "early")["birth"]["session"]
            stolen = (fleet.folder / "authority" / "ca.key").read_bytes()
        # When the server starts again, then it is known by the new authority alone, and the same agents are back
        with FleetProcess(tmp_path / "home", fleet) as second:
            for name in ("early", "late"):
                wait_for(partial(is_over, second, name, folders[name], new), seconds=SECONDS)
            assert fingerprints((second.folder / "authority" / "ca.pem").read_text()) == [new]
            assert about(second, "early")["birth"]["session"] == before
            assert state_of(second)["following"] is None
            # And the old one is worth nothing any more, to whoever has its key
            assert stolen not in b"".join(file.read_bytes() for file in (second.folder / "authority").iterdir())
            assert not is_let_in(Login.of_device(second, folders["never"]))
            # And who was left comes back by a token made for its name
            folders["never"].rename(tmp_path / "left")
            assert is_let_in(Login.of_device(second, second.add_device("never")))


def test_blocks_of_certificates_are_parted_as_they_were_joined() -> None:
    one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert blocks(one + one) == [one, one]
    assert blocks(one.rstrip() + "\r\n" + one) == [one, one]
    assert blocks("") == []
    with pytest.raises(OSError, match="found none"):
        fingerprints("")
