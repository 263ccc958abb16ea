"""A device's next certificate: asked for over the broker, by a running agent, long before the old one ends."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.core.clock_floor import Floor
from agent.core.memory import Memory
from agent.core.renewal import Check
from agent.credential import new_key, request_for, span_of
from contracts import codec
from contracts.downlinks import Renewed
from contracts.messages import Birth, DeviceEvent, Renew
from fleet.core.enrolment import MAX_CERTIFICATES, Standing, check_renewal
from fleet.errors.devices import UnknownDeviceError
from fleet.errors.enrolment import RevokedError
from tests.fleet.broker_client import HOST, Listener, Login
from tests.fleet.server import ROOT, FleetProcess, environment, wait_for

ANSWER_S = 60.0
STOP_S = 60


@contextmanager
def running_agent(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the agent as its service does."""
    with (folder / "agent.log").open("ab") as log:
        command = (sys.executable, "-m", "cli", "agent", "run", "--config", str(folder / "agent.toml"))
        agent = subprocess.Popen(command, cwd=ROOT, env=environment(folder), stdout=log, stderr=log)
    try:
        yield agent
        assert agent.poll() is None, (folder / "agent.log").read_text()
    finally:
        agent.terminate()
        agent.wait(STOP_S)


@contextmanager
def asking(login: Login) -> Iterator[tuple[Client, queue.Queue[Renewed]]]:
    """A device's line to the broker, and the answers on it."""
    answers: queue.Queue[Renewed] = queue.Queue()
    up: queue.Queue[bool] = queue.Queue()

    def on_connect(client: Client, _user: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None) -> None:
        client.subscribe(f"ff/v1/{login.username}/certificate", 1)

    client = login.client()
    client.on_connect = on_connect
    client.on_subscribe = lambda *_: up.put(True)
    client.on_message = lambda _c, _u, message: answers.put(Renewed.model_validate_json(message.payload))
    client.connect(HOST, login.port)
    client.loop_start()
    assert up.get(timeout=ANSWER_S)
    try:
        yield client, answers
    finally:
        client.disconnect()
        client.loop_stop()


def renew(csr: str) -> bytes:
    return codec.encode(Renew(session="0" * 16, sequence=1, sent_at=datetime.now(timezone.utc), csr=csr))


def test_a_running_agent_renews_its_certificate_and_connects_by_it_without_a_word_lost(fleet: FleetProcess) -> None:
    # Given a device whose verified time is well into the last third of its certificate, whatever its clock says
    folder = fleet.add_device("pi-1")
    (folder / "state").mkdir()
    later = datetime.now(timezone.utc) + timedelta(days=300)
    (folder / "state" / "memory.json").write_bytes(codec.encode(Memory(floor=Floor(moment=later, keys=()))))
    # When its agent runs
    with Listener(Login.of_viewer(fleet)) as fleet_hears, running_agent(folder):
        wait_for(lambda: any(b"certificate renewed until" in raw for raw in fleet_hears.heard("ff/v1/pi-1/event")))
        # A link that a busy machine was too slow for is one birth more
        births = wait_for(lambda: found if len(found := fleet_hears.heard("ff/v1/pi-1/birth")) >= 2 else None)
        # Then it has a new key and certificate, and connected anew by them: the same run of the agent, never offline
        said = [Birth.model_validate_json(raw) for raw in births]
        assert {birth.online for birth in said} == {True}
        assert len({birth.session for birth in said}) == 1
        assert fleet.ask("device", "show", "pi-1")["online"]
        events = [DeviceEvent.model_validate_json(raw) for raw in fleet_hears.heard("ff/v1/pi-1/event")]
        first, *others = ({event.sequence: event for event in events}).values()
        assert (first.kind, {event.kind for event in others}) == ("started", {"link"})
    renewed = next((folder / "state").glob("identity-*.pem"))
    assert renewed.stat().st_mode & 0o777 == 0o600
    old, new = (
        span_of(Check(device="pi-1", identity=file.read_text(), authority=(folder / "ca.pem").read_text()))
        for file in (folder / "identity.pem", renewed)
    )
    assert new.ends > old.ends
    # And after a restart it is known by the new one
    with Listener(Login.of_viewer(fleet)) as again, running_agent(folder):
        wait_for(lambda: any(json.loads(raw)["online"] for raw in again.heard("ff/v1/pi-1/birth")) or None)


def test_an_answer_that_was_lost_comes_again_and_certificates_are_not_collected(fleet: FleetProcess) -> None:
    folder = fleet.add_device("pi-2")
    with asking(Login.of_device(fleet, folder)) as (client, answers):
        # Given an answer, when the same key asks again, then it is the same one
        csr = request_for(new_key(), "pi-2")
        client.publish("ff/v1/pi-2/renew", renew(csr), qos=1)
        client.publish("ff/v1/pi-2/renew", renew(csr), qos=1)
        first, second = answers.get(timeout=ANSWER_S), answers.get(timeout=ANSWER_S)
        assert first.certificate is not None
        assert first == second
        # When other keys ask and ask, then it ends
        for _ in range(MAX_CERTIFICATES - 1):
            client.publish("ff/v1/pi-2/renew", renew(request_for(new_key(), "pi-2")), qos=1)
        found = [answers.get(timeout=ANSWER_S) for _ in range(MAX_CERTIFICATES - 1)]
        assert [each.certificate is None for each in found] == [False] * (MAX_CERTIFICATES - 2) + [True]
        assert f"expected fewer than {MAX_CERTIFICATES} certificates" in found[-1].refusal


@pytest.mark.parametrize("csr", ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "\x00" * 100])
def test_a_request_that_is_none_is_answered_by_a_refusal_and_others_are_served(fleet: FleetProcess, csr: str) -> None:
    device = f"odd-{len(csr)}"
    with asking(Login.of_device(fleet, fleet.add_device(device))) as (client, answers):
        client.publish(f"ff/v1/{device}/renew", b"\xff not json", qos=1)
        client.publish(f"ff/v1/{device}/renew", renew(csr), qos=1)
        assert "certificate request: expected" in answers.get(timeout=ANSWER_S).refusal
        client.publish(f"ff/v1/{device}/renew", renew(request_for(new_key(), "somebody-else")), qos=1)
        renewed = answers.get(timeout=ANSWER_S)
    # The name in the request counts for nothing: the broker says who asks.
    assert renewed.certificate is not None
    assert names_in(renewed.certificate) == device


def names_in(certificate: str) -> str:
    command = ("openssl", "x509", "-noout", "-subject", "-nameopt", "multiline")
    done = subprocess.run(command, input=certificate.encode(), capture_output=True, timeout=30, check=True, env=os.environ)
    return done.stdout.decode().split("=")[-1].strip()


def test_who_is_out_or_unknown_gets_no_other_certificate() -> None:
    with pytest.raises(RevokedError):
        check_renewal("pi-1", Standing(is_revoked=True, certificates=0))
    with pytest.raises(UnknownDeviceError):
        check_renewal("pi-1", None)
    check_renewal("pi-1", Standing(is_revoked=False, certificates=MAX_CERTIFICATES - 1))
