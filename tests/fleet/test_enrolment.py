"""How machines become devices of a running server, and every way in which they do not."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import httpx
import pytest

from agent.adapters.front_door import FrontDoor
from agent.config import load_settings
from agent.credential import new_key, request_for
from agent.enrolment import PENDING_KEY, Order, enrol
from agent.errors import (
    AgentError,
    AlreadyEnrolledError,
    EnrolmentRefusedError,
    FleetUnreachableError,
    TokenRefusedError,
    UntrustedServerError,
)
from contracts.enrolment import ENROL_PATH, EnrolmentToken, parse_token
from contracts.errors import ContractError, FieldfareError, InvalidDocumentError
from tests.fleet.server import FleetProcess, fieldfare
from tests.live.authority import context_of
from tests.live.ports import free_port

NAME = "fleet.example"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    """A server that is reached by a name, and listens on every address."""
    with FleetProcess(tmp_path_factory.mktemp("fleet") / "home", None, "--host", "0.0.0.0", "--public-name", NAME) as running:
        yield running


def order(fleet: FleetProcess, token: str, folder: Path, name: str | None = None, *, server: str = "") -> Order:
    return Order(server or fleet.tls_url, token, name, {}, folder)


def refused_by(order: Order) -> FieldfareError:
    with pytest.raises((AgentError, ContractError)) as caught:
        enrol(order)
    assert "\n" not in str(caught.value)
    return caught.value


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_a_machine_with_a_token_becomes_the_device_that_the_operator_meant(fleet: FleetProcess, tmp_path: Path) -> None:
    # Given a token for a kind of device at a place, when a machine comes with it
    token = fleet.ask("device", "token", "--hardware", "rpi5", "--label", "site=lyon", "--expires", "15m")["token"]
    done = fleet.enroll(token, tmp_path / "pi-1", "--name", "pi-1", "--set", "serve.port=9000")
    # Then its configuration is whole, its key is its own alone, and the fleet knows it
    assert (done.returncode, done.stderr) == (0, "")
    config = load_settings(tmp_path / "pi-1" / "agent.toml").config
    assert (config.device.id, config.device.hardware, config.device.labels) == ("pi-1", "rpi5", {"site": "lyon"})
    assert (config.broker.host, config.broker.port, config.serve.port) == (NAME, fleet.broker_port, 9000)
    found = modes_in(tmp_path / "pi-1")
    assert set(found) == {"agent.toml", "ca.pem", "identity.pem", "root.json"}
    assert found["identity.pem"] == 0o600
    assert [device["id"] for device in fleet.ask("devices") if device["id"] == "pi-1"] == ["pi-1"]


def test_a_token_that_was_used_opens_nothing_for_another_machine(fleet: FleetProcess, tmp_path: Path) -> None:
    token = fleet.token()
    enrol(order(fleet, token, tmp_path / "first", "first-1"))

    error = refused_by(order(fleet, token, tmp_path / "second", "second-1"))
    again = refused_by(order(fleet, token, tmp_path / "thief", "first-1"))

    assert isinstance(error, TokenRefusedError)
    assert isinstance(again, TokenRefusedError)
    assert "found one that was used up" in str(error)
    assert error.exit_status == again.exit_status == 1


def test_of_many_machines_with_one_token_only_as_many_come_in_as_it_allows(fleet: FleetProcess) -> None:
    secret = parse_token(fleet.token(uses=3)).secret
    context = context_of(None, fleet.folder / "authority" / "ca.pem")

    def come(number: int) -> int:
        body = {"secret": secret, "device": f"crowd-{number}", "csr": request_for(new_key(), None)}
        return httpx.post(fleet.tls_url + ENROL_PATH, json=body, verify=context, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(come, range(8))) == [201] * 3 + [403] * 5


def test_an_answer_that_was_lost_is_given_again_to_the_same_key_alone(fleet: FleetProcess, tmp_path: Path) -> None:
    # Given a machine whose link breaks after the fleet has let it in
    token, folder = fleet.token("cut-off"), tmp_path / "cut-off"
    folder.mkdir()
    (folder / PENDING_KEY).write_text(key := new_key())
    door = FrontDoor(fleet.tls_url, parse_token(token), lambda: datetime.now(timezone.utc))
    door.enrol(door.authority(), None, request_for(key, None))
    # When the same command is given again, then it ends well
    assert enrol(order(fleet, token, folder)) == "cut-off"
    assert key in (folder / "identity.pem").read_text()
    assert set(modes_in(folder)) == {"agent.toml", "ca.pem", "identity.pem", "root.json"}


def test_a_folder_that_holds_a_device_is_not_enrolled_again(fleet: FleetProcess, tmp_path: Path) -> None:
    enrol(order(fleet, fleet.token(), tmp_path / "twice", "twice"))
    before = (tmp_path / "twice" / "identity.pem").read_bytes()
    token = fleet.token()

    error = refused_by(order(fleet, token, tmp_path / "twice", "twice-2"))

    assert isinstance(error, AlreadyEnrolledError)
    assert error.exit_status == 2
    assert (tmp_path / "twice" / "identity.pem").read_bytes() == before
    assert enrol(order(fleet, token, tmp_path / "other", "twice-2")) == "twice-2"  # the token was not spent on it


def test_a_name_that_is_taken_stays_with_its_device_until_that_is_revoked(fleet: FleetProcess, tmp_path: Path) -> None:
    # Given a device, when other machines come by its name
    enrol(order(fleet, fleet.token(), tmp_path / "old", "taken"))
    named, unnamed = fleet.token("taken"), fleet.token()
    taken = refused_by(order(fleet, named, tmp_path / "new"))
    assert isinstance(taken, EnrolmentRefusedError)
    assert taken.exit_status == 2
    assert "device taken: expected a new id" in str(taken)
    # When it is revoked, then a token that names it brings the name back, and no other
    assert fleet.run("device", "revoke", "taken").returncode == 0
    assert "device taken: expected a new id" in str(refused_by(order(fleet, unnamed, tmp_path / "thief", "taken")))
    assert enrol(order(fleet, named, tmp_path / "new")) == "taken"


@pytest.mark.parametrize(
    ("given", "wanted", "said"),
    [(None, None, "expected a name for the device"), ("meant", "wanted", "expected the name that the token is for, meant")],
)
def test_a_name_that_is_missing_or_another_is_refused_and_the_token_is_not_spent(
    fleet: FleetProcess, tmp_path: Path, given: str | None, wanted: str | None, said: str
) -> None:
    token = fleet.token(given)

    error = refused_by(order(fleet, token, tmp_path / "x", wanted))

    assert said in str(error)
    assert error.exit_status == 2
    name = given or "named-now"
    assert enrol(order(fleet, token, tmp_path / "x", name)) == name


def test_a_token_that_has_ended_or_that_nobody_gave_out_is_refused(fleet: FleetProcess, tmp_path: Path) -> None:
    short = fleet.token(life_s=0.001)
    made_up = str(EnrolmentToken(parse_token(short).ca_sha256, "A" * 43))

    ended = refused_by(order(fleet, short, tmp_path / "x", "late"))
    unknown = refused_by(order(fleet, made_up, tmp_path / "x", "late"))

    assert isinstance(ended, TokenRefusedError)
    assert isinstance(unknown, TokenRefusedError)
    assert "found one that ended at" in str(ended)
    assert "expected one that this fleet gave out" in str(unknown)


@pytest.mark.parametrize("token", ["", "ff1.short.token", "x" * 91])
def test_what_is_no_token_is_refused_without_being_quoted(fleet: FleetProcess, tmp_path: Path, token: str) -> None:
    error = refused_by(order(fleet, token, tmp_path / "x"))

    assert isinstance(error, InvalidDocumentError)
    assert not token or token not in str(error)


def test_a_server_that_is_not_the_tokens_is_told_nothing(fleet: FleetProcess, tmp_path: Path) -> None:
    ours = parse_token(fleet.token())
    of_another_fleet = EnrolmentToken("0" * 64, ours.secret)

    other_authority = refused_by(order(fleet, str(of_another_fleet), tmp_path / "x", "x"))
    # The same server, by an address that its certificate does not name: so would a stolen certificate look on another machine.
    other_name = refused_by(order(fleet, str(ours), tmp_path / "x", "x", server=f"https://127.0.0.2:{fleet.tls_port}"))

    assert isinstance(other_authority, UntrustedServerError)
    assert isinstance(other_name, UntrustedServerError)
    assert other_authority.exit_status == other_name.exit_status == 1
    assert "another fleet's or an impostor's" in str(other_authority)
    assert "127.0.0.2" in str(other_name)
    assert enrol(order(fleet, str(ours), tmp_path / "x", "told-nothing")) == "told-nothing"


def test_a_server_that_does_not_answer_is_named_and_the_command_can_be_given_again(fleet: FleetProcess, tmp_path: Path) -> None:
    token = fleet.token("patient")
    nobody = f"https://127.0.0.1:{free_port()}"

    done = fleet.enroll(token, tmp_path / "x", server=nobody)
    plain = refused_by(order(fleet, token, tmp_path / "x", server=f"https://127.0.0.1:{fleet.port}"))

    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {nobody}: expected the fleet server, found no answer")
    assert isinstance(plain, FleetUnreachableError)
    assert enrol(order(fleet, token, tmp_path / "x")) == "patient"


@pytest.mark.parametrize("server", ["http://127.0.0.1:8480", "https://", "https://host:port", "https://host/path"])
def test_a_token_is_never_sent_to_an_address_without_tls(fleet: FleetProcess, tmp_path: Path, server: str) -> None:
    error = refused_by(order(fleet, fleet.token(), tmp_path / "x", server=server))

    assert isinstance(error, InvalidDocumentError)
    assert "--server" in str(error)


def test_a_setting_that_no_agent_has_is_refused_before_the_token_is_spent(fleet: FleetProcess, tmp_path: Path) -> None:
    token = fleet.token("setting")

    done = fleet.enroll(token, tmp_path / "x", "--set", "telemetry.helth_s=2")

    assert done.returncode == 2
    assert "--set: telemetry.helth_s: expected" in done.stderr
    assert not (tmp_path / "x").exists()
    assert enrol(order(fleet, token, tmp_path / "x")) == "setting"


@pytest.mark.parametrize("csr", ["-----BEGIN nothing", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"])
def test_a_request_that_cannot_be_signed_spends_no_token(fleet: FleetProcess, tmp_path: Path, csr: str) -> None:
    token = fleet.token()
    body = {"secret": parse_token(token).secret, "device": f"odd-{len(csr)}", "csr": csr}

    answer = httpx.post(fleet.tls_url + ENROL_PATH, json=body, verify=context_of(None, fleet.folder / "authority" / "ca.pem"), timeout=30)

    assert (answer.status_code, answer.json()["title"]) == (422, "Unprocessable Entity")
    assert enrol(order(fleet, token, tmp_path / "x", f"odd-{len(csr)}")) == f"odd-{len(csr)}"


def test_a_request_whose_bytes_were_changed_is_refused(fleet: FleetProcess) -> None:
    lines = request_for(new_key(), "x").splitlines()
    middle = lines[2]
    lines[2] = ("A" if middle[0] != "A" else "B") + middle[1:]
    body = {"secret": parse_token(fleet.token()).secret, "device": "flipped", "csr": "\n".join(lines)}

    answer = httpx.post(fleet.tls_url + ENROL_PATH, json=body, verify=context_of(None, fleet.folder / "authority" / "ca.pem"), timeout=30)

    assert answer.status_code == 422
    assert "certificate request: expected" in answer.json()["detail"]


def test_no_secret_lies_readable_on_the_server(fleet: FleetProcess, tmp_path: Path) -> None:
    token = fleet.token()
    secret, api_token = parse_token(token).secret, fleet.ask("token", "create", "anna")["token"]
    enrol(order(fleet, token, tmp_path / "x", "secretive"))

    with sqlite3.connect(f"file:{fleet.folder / 'fleet.db'}?mode=ro", uri=True) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()

    assert secret not in dump
    assert api_token not in dump
    assert "PRIVATE KEY" not in dump
    private = [path for path in fleet.folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (*private, fleet.folder / "connection.json")} == {0o600}


def test_what_is_not_tls_is_on_this_machine_alone(fleet: FleetProcess, tmp_path: Path) -> None:
    context = context_of(None, fleet.folder / "authority" / "ca.pem")
    context.check_hostname = False
    assert httpx.get(f"https://127.0.0.2:{fleet.tls_port}/healthz", verify=context, timeout=60).json() == {"status": "ok"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.2:{fleet.port}/healthz")

    nameless = fieldfare(tmp_path / "nameless", "fleet", "up", "--host", "0.0.0.0")

    assert nameless.returncode == 2
    assert nameless.stderr.startswith("error: --host 0.0.0.0: expected the name or address by which devices reach this machine")
    assert not (tmp_path / "nameless").exists()
