"""Who the broker lets in, as whom, and for how long: attacks with real certificates on a running server and its mosquitto."""

from __future__ import annotations

import os
import queue
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import httpx
import pytest
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.messages import DeviceEvent
from fleet.authority import Authority
from tests.fleet.broker_client import ANSWER_S, HOST, Listener, Login, verdict_on
from tests.fleet.server import FleetProcess, wait_for
from tests.live.authority import context_of, identity_of
from tests.sim.device import SimDevice

# An open connection of a revoked device ends within this time; on a quiet machine it is a second at most.
SECONDS = 60.0


def is_let_in(login: Login) -> bool:
    """Connect, and say whether the broker consents; with TLS 1.3 a refused certificate is only noticed after our own hello."""
    answers: queue.Queue[bool] = queue.Queue()

    def on_connect(_client: Client, _user: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        answers.put(not reason.is_failure)

    client = login.client()
    client.on_connect = on_connect
    client.on_disconnect = lambda *_: answers.put(False)
    try:
        client.connect(HOST, login.port)
    except OSError:
        return False
    client.loop_start()
    try:
        return answers.get(timeout=ANSWER_S)
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def connected(login: Login, client_id: str = "") -> Iterator[queue.Queue[str]]:
    """Yield a connection's end: why it ended, as soon as it has."""
    ends: queue.Queue[str] = queue.Queue()
    up: queue.Queue[bool] = queue.Queue()
    client = login.client(client_id)
    client.on_connect = lambda *_: up.put(True)
    client.on_disconnect = lambda _c, _u, _f, reason, _p: ends.put(str(reason))
    client.connect(HOST, login.port)
    client.loop_start()
    assert up.get(timeout=ANSWER_S)
    try:
        yield ends
    finally:
        client.disconnect()
        client.loop_stop()


def file_with(folder: Path, identity: str) -> Path:
    file = folder / "stolen.pem"
    file.write_text(identity)
    return file


@pytest.fixture(scope="module")
def pi(fleet: FleetProcess) -> Path:
    """Return the folder of a device."""
    return fleet.add_device("pi-1")


def test_a_device_is_let_in_by_its_certificate_and_nobody_without_one(fleet: FleetProcess, pi: Path) -> None:
    login = Login.of_device(fleet, pi)

    assert is_let_in(login)
    assert not is_let_in(replace(login, identity=None))


@pytest.mark.parametrize("name", ["pi-1", "fleet"])
def test_a_certificate_of_another_authority_is_refused_whatever_name_it_gives(
    fleet: FleetProcess, pi: Path, tmp_path: Path, name: str
) -> None:
    stranger = Authority(tmp_path / "another", datetime.now(timezone.utc))
    login = replace(Login.of_device(fleet, pi), identity=file_with(tmp_path, identity_of(name, by=stranger)))

    assert not is_let_in(login)


def test_the_servers_own_certificate_is_nobody_to_the_broker(fleet: FleetProcess, pi: Path) -> None:
    assert not is_let_in(replace(Login.of_device(fleet, pi), identity=fleet.folder / "authority" / "server.pem"))


@pytest.mark.parametrize("leaf", ["birth", "reported", "event", "want", "renew", "desired", "certificate"])
def test_a_device_cannot_speak_for_another_or_for_the_fleet(fleet: FleetProcess, pi: Path, leaf: str) -> None:
    assert verdict_on(Login.of_device(fleet, pi), f"ff/v1/pi-2/{leaf}") == "Not authorized"


@pytest.mark.parametrize("topic", ["ff/v1/pi-1/certificate", "$CONTROL/dynamic-security/v1", "ff/v1/%u/event"])
def test_a_device_cannot_answer_itself_or_command_the_broker(fleet: FleetProcess, pi: Path, topic: str) -> None:
    assert verdict_on(Login.of_device(fleet, pi), topic) == "Not authorized"


def test_a_device_hears_nothing_that_is_meant_for_another(fleet: FleetProcess, pi: Path) -> None:
    other = fleet.add_device("pi-2")
    with Listener(Login.of_device(fleet, pi)) as eavesdropper, Listener(Login.of_viewer(fleet)) as viewer, SimDevice(other) as device:
        device.send_event("for the fleet alone")
        wait_for(lambda: viewer.heard("ff/v1/pi-2/event"))
        wait_for(lambda: eavesdropper.heard("ff/v1/pi-1/desired"))

        assert not [topic for topic in eavesdropper.topics() if topic.startswith("ff/v1/pi-2/")]


def test_a_device_that_takes_the_fleets_client_names_does_not_end_its_connections(fleet: FleetProcess, pi: Path) -> None:
    other = fleet.add_device("pi-3")
    with SimDevice(other) as device, fleet.api as api:
        wait_for(lambda: api.get("devices/pi-3").json()["online"])
        for name in ("fleet-control", "fleet-bulk", "fleet-renewal", "pi-3"):
            with connected(Login.of_device(fleet, pi), name):
                event = device.send_event(f"while {name} is taken")
                wait_for(partial(is_kept, api, event))


def is_kept(api: httpx.Client, event: DeviceEvent) -> bool:
    """Say whether the fleet has heard an event of pi-3."""
    return event.text in api.get("devices/pi-3").text


def test_a_revoked_device_is_out_within_seconds_on_every_connection_and_nobody_else_is(fleet: FleetProcess, pi: Path) -> None:
    # Given a device with two connections, under names that it chose itself, and others beside it
    bad = fleet.add_device("bad")
    login = Login.of_device(fleet, bad)
    with (
        connected(login, "anything") as first,
        connected(login) as second,
        connected(Login.of_device(fleet, pi)) as other,
        connected(Login.of_viewer(fleet)) as viewer,
    ):
        # When it is revoked
        assert fleet.ask("device", "revoke", "bad") == {"device": "bad"}
        # Then its connections end, the others stay, and it cannot come back
        assert {first.get(timeout=SECONDS), second.get(timeout=SECONDS)} == {"Administrative action"}
        assert not is_let_in(login)
        assert verdict_on(Login.of_device(fleet, pi), "ff/v1/pi-1/event") == "Success"
        assert other.empty()
        assert viewer.empty()
    # And people see why it is silent
    assert fleet.ask("device", "show", "bad")["status_reason"] == "revoked"


def test_a_connection_that_shows_its_certificate_before_and_says_its_name_after_the_revocation_may_do_nothing(fleet: FleetProcess) -> None:
    late = fleet.add_device("late")
    login = Login.of_device(fleet, late)
    with Listener(Login.of_viewer(fleet)) as viewer:
        with handshaken(login) as client:
            fleet.ask("device", "revoke", "late")
            verdicts: queue.Queue[str] = queue.Queue()
            client.on_publish = lambda _c, _u, _mid, reason, _p: verdicts.put(str(reason))
            client.on_disconnect = lambda *_: verdicts.put("ended")
            client.connect(HOST, login.port)
            client.loop_start()
            client.publish("ff/v1/late/event", b"too late", qos=1)
            assert verdicts.get(timeout=ANSWER_S) in ("Not authorized", "ended")
            client.loop_stop()
        assert viewer.heard("ff/v1/late/event") == []


@contextmanager
def handshaken(login: Login) -> Iterator[Client]:
    """Yield a client whose socket has done its TLS handshake, and said nothing yet."""
    client = login.client()
    plain = socket.create_connection((HOST, login.port), timeout=ANSWER_S)
    with context_of(login.identity, login.authority).wrap_socket(plain, server_hostname=HOST) as secured:

        class Handed(Client):
            """Takes a socket that is there already."""

            def _create_socket(self) -> ssl.SSLSocket:
                return secured

        client.__class__ = Handed
        yield client


def test_a_revocation_outlives_the_broker_and_the_server_and_a_new_certificate_lets_the_name_in_again(tmp_path: Path) -> None:
    # Given a device that was revoked
    with FleetProcess(tmp_path / "home") as first:
        folder, other = first.add_device("pi-1"), first.add_device("pi-2")
        login = Login.of_device(first, folder)
        first.ask("device", "revoke", "pi-1")
        # When the broker dies, then the next one refuses it too
        wait_for(first.broker_pid)
        os.kill(first.broker_pid(), signal.SIGKILL)
        wait_for(lambda: is_let_in(Login.of_device(first, other)) or None)
        assert not is_let_in(login)
    # When the server starts again, then so does that one, and the device is asked no more
    with FleetProcess(tmp_path / "home", first) as second:
        assert not is_let_in(login)
        assert is_let_in(Login.of_device(second, other))
        # When an admin lets the name in again, then by the new certificate alone
        folder.rename(tmp_path / "stolen")
        again = second.add_device("pi-1")
        assert is_let_in(Login.of_device(second, again))
        assert verdict_on(Login.of_device(second, again), "ff/v1/pi-1/event") == "Success"
        assert not is_let_in(replace(login, identity=tmp_path / "stolen" / "identity.pem"))


def test_mosquittos_own_commands_find_the_viewers_login(fleet: FleetProcess) -> None:
    command = ("mosquitto_sub", "-t", "ff/v1/trust/timestamp.json", "-C", "1", "-W", "60")
    done = subprocess.run(command, env={**os.environ, "XDG_CONFIG_HOME": str(fleet.folder)}, capture_output=True, timeout=90, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"timestamp"' in done.stdout
