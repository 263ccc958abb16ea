"""What devices answer, through the real broker: the largest picture arrives whole, and what makes no sense changes nothing."""

from __future__ import annotations

import base64
import random
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from contracts import codec
from contracts.commands import MAX_JPEG_BYTES, CommandResult, Findings, Picture, State
from contracts.topics import of_device, result_leaf
from tests.fleet.broker_client import ANSWER_S, HOST, Login
from tests.fleet.server import FleetProcess, wait_for

JPEG = b"\xff\xd8\xff" + random.Random(1).randbytes(MAX_JPEG_BYTES - 3)


@pytest.fixture(scope="module")
def pi(fleet: FleetProcess) -> Path:
    """Return the folder of a device that was added."""
    return fleet.add_device("pi-1", "rpi5")


def ask(fleet: FleetProcess, kind: str) -> str:
    """Ask something of the device, and return the command's id."""
    with fleet.api as api:
        number: str = api.post("devices/pi-1/commands", json={"kind": kind}).raise_for_status().json()["id"]
    return number


def shown(fleet: FleetProcess, number: str) -> dict[str, Any]:
    """Return what the server shows of a command."""
    with fleet.api as api:
        found: dict[str, Any] = api.get(f"devices/pi-1/commands/{number}").raise_for_status().json()
    return found


def result_of(number: str, state: State, findings: Findings | None = None, reason: str = "") -> bytes:
    """Return what a device says of a command."""
    stamp = {"session": "a" * 16, "sequence": 1, "sent_at": datetime.now(timezone.utc)}
    return codec.encode(CommandResult.model_validate({**stamp, "command": number, "state": state, "findings": findings, "reason": reason}))


def publish(login: Login, *messages: tuple[str, bytes]) -> None:
    """Publish as a device, and wait until the broker has it."""
    client = login.client()
    client.connect(HOST, login.port)
    client.loop_start()
    try:
        for topic, payload in messages:
            client.publish(topic, payload, qos=1).wait_for_publish(ANSWER_S)
    finally:
        client.disconnect()
        client.loop_stop()


def test_the_largest_picture_arrives_whole(fleet: FleetProcess, pi: Path) -> None:
    number = ask(fleet, "snapshot")
    picture = Picture(model="door", jpeg=base64.b64encode(JPEG).decode())

    publish(Login.of_device(fleet, pi), (of_device("pi-1", result_leaf(number)), result_of(number, "ok", picture)))

    found = wait_for(lambda: each if (each := shown(fleet, number))["state"] == "ok" else None)
    assert base64.b64decode(found["findings"]["jpeg"]) == JPEG


def test_what_makes_no_sense_changes_nothing_and_stops_nobody(fleet: FleetProcess, pi: Path) -> None:
    first, second, unknown = ask(fleet, "logs"), ask(fleet, "golden"), secrets.token_hex(16)
    topics = {number: of_device("pi-1", result_leaf(number)) for number in (first, second, unknown)}
    picture = Picture(model="door", jpeg="AAAA")
    publish(
        Login.of_device(fleet, pi),
        (topics[first], b"rubbish"),
        (topics[first], b"[" * 100_000),
        (topics[first], result_of(second, "ok")),
        (topics[first], result_of(first, "ok", picture)),
        (topics[unknown], result_of(unknown, "ok")),
        (topics[second], result_of(second, "failed", reason="no model serves")),
    )

    wait_for(lambda: shown(fleet, second)["state"] == "failed")
    assert shown(fleet, second)["reason"] == "no model serves"
    assert (shown(fleet, first)["state"], shown(fleet, first)["findings"]) == ("pending", None)


def test_another_device_cannot_answer(fleet: FleetProcess, pi: Path) -> None:
    assert pi.name == "pi-1"
    other, first, second = Login.of_device(fleet, fleet.add_device("pi-2")), ask(fleet, "logs"), ask(fleet, "logs")
    # The broker lets nobody speak for another, and what he says in his own name of another's command is not taken
    publish(other, (of_device("pi-2", result_leaf(first)), result_of(first, "ok")))
    publish(Login.of_device(fleet, pi), (of_device("pi-1", result_leaf(second)), result_of(second, "ok")))

    wait_for(lambda: shown(fleet, second)["state"] == "ok")
    assert shown(fleet, first)["state"] == "pending"
