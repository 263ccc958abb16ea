"""The running server: its API, its broker's rules, and what it refuses."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import httpx
import pytest
from fastapi.openapi.models import OpenAPI

from tests.fleet.broker_client import Listener, Login, verdict_on
from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, fieldfare, wait_for
from tests.live.authority import context_of
from tests.sim.device import SimDevice


@pytest.fixture(scope="module")
def pi(fleet: FleetProcess) -> Path:
    """Return the folder of a device that was added."""
    return fleet.add_device("pi-1", "rpi5", site="lyon")


def test_the_api_describes_itself_as_valid_openapi(fleet: FleetProcess) -> None:
    with fleet.api as api:
        document = api.get("openapi.json").json()
    # OpenAPI 3.1 knows certificates of clients; the model that FastAPI brings does not yet.
    assert document["components"]["securitySchemes"].pop("DeviceCertificate")["type"] == "mutualTLS"

    schema = OpenAPI.model_validate(document)

    assert schema.paths is not None
    assert {"/api/v1/overview", "/api/v1/rollouts/{rollout}", "/api/v1/artifacts/{sha256}", "/healthz"} <= schema.paths.keys()


@pytest.mark.parametrize("path", ["overview", "devices", "openapi.json", "trust/timestamp.json", "rollouts/1"])
@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic YTpi"])
def test_nothing_is_told_without_a_token(fleet: FleetProcess, path: str, token: str) -> None:
    answer = httpx.get(f"{fleet.connection['url']}/api/v1/{path}", headers={"Authorization": token} if token else {})

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Unauthorized"


def test_whether_it_lives_is_told_to_everyone(fleet: FleetProcess) -> None:
    assert httpx.get(f"{fleet.connection['url']}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "devices/nobody", None, 404, "device nobody: expected a device of this fleet"),
        ("GET", "rollouts/99", None, 404, "rollout 99: expected a rollout"),
        ("GET", "trust/5.root.json", None, 404, "trust/5.root.json: expected a file"),
        ("GET", "trust/..%2Ffleet.db", None, 404, ""),
        ("GET", "devices?limit=100000", None, 422, "query.limit: expected"),
        ("POST", "rollouts", {"model": "nothing", "query": "all"}, 404, "model nothing: expected a signed release"),
        ("POST", "rollouts", {"model": "digits", "query": "hw ~ x"}, 422, "position 4: expected a name, a value, a sign such as ="),
        ("POST", "enrolment-tokens", {"device": "fleet", "hardware": "cpu"}, 422, "a name other than chunk, fleet, trust, viewer"),
        ("POST", "enrolment-tokens", {"device": "../x", "hardware": "cpu"}, 422, "body.device: expected"),
        ("POST", "enrolment-tokens", {"device": "x", "hardware": "cpu", "uses": 2}, 422, "one use for a token that names its device"),
        ("POST", "devices/nobody/revocation", None, 404, "device nobody: expected a device of this fleet"),
        ("POST", "tokens", {"name": "anna", "role": "king"}, 422, "body.role: expected"),
        ("DELETE", "tokens/nobody", None, 404, "token nobody: expected a token"),
        ("POST", "releases", {"targets": "{}"}, 422, "targets.json: expected TUF metadata"),
        ("POST", "releases", {"targets": "x" * (2 << 20)}, 413, "expected a body of at most 1048576 bytes"),
        ("PUT", f"artifacts/{'0' * 64}", {"a": 1}, 422, "expected sha256 0000"),
        ("HEAD", f"artifacts/{'0' * 64}", None, 404, ""),
        ("DELETE", "devices", None, 405, "/api/v1/devices: expected GET, found DELETE"),
        ("GET", "nothing", None, 404, "/api/v1/nothing: expected a route"),
        ("GET", "devices?cursor=eyJ", None, 422, "cursor: expected the `next` of another page of devices"),
    ],
)
def test_what_cannot_be_done_is_a_problem_document(
    fleet: FleetProcess, method: str, path: str, body: object, status: int, detail: str
) -> None:
    with fleet.api as api:
        answer = api.request(method, path, json=body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json()["status"] == status
        assert detail in answer.json()["detail"]


def test_an_uploaded_file_is_kept_under_its_digest_and_a_false_one_leaves_nothing(fleet: FleetProcess) -> None:
    content = b"weights" * 500_000
    path = f"artifacts/{hashlib.sha256(content).hexdigest()}"
    with fleet.api as api:
        assert api.put(path, content=content[:-1]).status_code == 422
        assert api.head(path).status_code == 404
        assert api.put(path, content=content).status_code == 204
        assert api.head(path).status_code == 204
    assert list((fleet.folder / "artifacts" / ".incoming").iterdir()) == []


@pytest.mark.parametrize(
    "topic", ["ff/v1/pi-2/birth", "ff/v1/pi-2/desired", "ff/v1/pi-1/desired", "ff/v1/trust/timestamp.json", f"ff/v1/chunk/{'0' * 64}/0"]
)
def test_a_device_may_write_under_its_own_name_alone_and_no_wish(fleet: FleetProcess, pi: Path, topic: str) -> None:
    assert verdict_on(Login.of_device(fleet, pi), topic) == "Not authorized"


def test_a_device_may_write_what_it_says(fleet: FleetProcess, pi: Path) -> None:
    assert verdict_on(Login.of_device(fleet, pi), "ff/v1/pi-1/event") == "Success"


def test_a_device_hears_its_own_wish_and_the_trust_files_and_nobody_elses_words(fleet: FleetProcess, pi: Path) -> None:
    fleet.add_device("pi-2")
    with Listener(Login.of_viewer(fleet)) as viewer, Listener(Login.of_device(fleet, pi)) as device, SimDevice(pi):
        wait_for(lambda: {"ff/v1/pi-1/birth", "ff/v1/pi-2/desired", "ff/v1/pi-1/desired"} <= viewer.topics())
        wait_for(lambda: device.heard("ff/v1/pi-1/desired"))

        assert {topic for topic in device.topics() if not topic.startswith("ff/v1/trust/")} == {"ff/v1/pi-1/desired"}
        assert "ff/v1/trust/timestamp.json" in device.topics()


@pytest.mark.parametrize("topic", ["ff/v1/pi-1/desired", "ff/v1/pi-1/birth", "ff/v1/trust/timestamp.json"])
def test_the_viewer_writes_nothing(fleet: FleetProcess, topic: str) -> None:
    assert verdict_on(Login.of_viewer(fleet), topic) == "Not authorized"


def test_poison_is_survived(fleet: FleetProcess, pi: Path) -> None:
    with SimDevice(pi) as device:
        for leaf in ("birth", "reported", "health", "inference", "event", "want"):
            device.publish_raw(leaf, b"{}")
            device.publish_raw(leaf, b"\xff" * 300_000)
        event = device.send_event("still heard")

        with fleet.api as api:
            found = wait_for(lambda: [view["text"] for view in api.get("devices/pi-1").json()["events"]])
            aside = api.get("quarantine", params={"device": "pi-1"}).json()["items"]
            assert api.get("quarantine", params={"device": "pi-2"}).json()["items"] == []
    assert found == [event.text]
    # What was refused is kept to look at, with its reason
    assert {each["leaf"] for each in aside} == {"birth", "reported", "health", "inference", "event", "want"}
    shown = fieldfare(fleet.folder, "device", "quarantine", "pi-1")
    assert "session: expected a value, found nothing" in shown.stdout
    assert "300000" in shown.stdout


def test_health_arrives_as_points_for_charts(fleet: FleetProcess, pi: Path) -> None:
    with SimDevice(pi) as device, fleet.api as api:
        device.send_health()
        points = wait_for(lambda: api.get("devices/pi-1/health").json()["items"])
    assert [(point["memory_percent"], point["disk_percent"], point["temperature_c"]) for point in points] == [(25.0, 25.0, 48.5)]


def test_the_will_of_a_device_that_vanished_takes_it_offline(fleet: FleetProcess, pi: Path) -> None:
    with SimDevice(pi) as device, fleet.api as api:
        wait_for(lambda: api.get("devices/pi-1").json()["online"])
        device.drop_dead()
        wait_for(lambda: not api.get("devices/pi-1").json()["online"])


def test_a_flipped_byte_in_a_bundle_is_refused_by_the_files_name(fleet: FleetProcess, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b", release=1)
    model = tmp_path / "b" / "artifacts" / "cpu" / "model.onnx"
    raw = bytearray(model.read_bytes())
    raw[1000] ^= 1
    model.write_bytes(raw)

    done = fleet.run("release", "add", str(tmp_path / "b"))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {model}: expected sha256 ")
    assert fleet.ask("release", "list") == []


def test_a_counter_that_does_not_grow_is_refused_in_one_line(fleet: FleetProcess, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b", release=3, model="other")
    fleet.ask("release", "add", str(tmp_path / "b"))

    done = fleet.run("release", "add", str(tmp_path / "b"))

    assert done.returncode == 2
    assert done.stderr == ("error: release other 3: expected a counter above 3, found 3; compile it again with --release 4 or higher\n")


def test_a_rollout_that_would_reach_nobody_says_why(fleet: FleetProcess, pi: Path, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b", release=1, model="tpu-only", targets=("coral",))
    fleet.ask("release", "add", str(tmp_path / "b"))

    none = fleet.run("rollout", "start", "tpu-only", "--to", "id = nobody")
    unfit = fleet.run("rollout", "start", "tpu-only", "--to", "id = pi-1")

    assert (none.returncode, unfit.returncode) == (2, 2)
    assert none.stderr.endswith("found none: the query matches no device\n")
    assert unfit.stderr.endswith("found none: it runs rpi5, cpu, and the release was compiled for coral\n")


def test_a_model_has_one_running_rollout_and_a_silent_device_ends_it_by_its_deadline(fleet: FleetProcess, tmp_path: Path) -> None:
    make_bundle(tmp_path / "b", release=1, model="slow", size=10)
    fleet.ask("release", "add", str(tmp_path / "b"))
    with SimDevice(fleet.add_device("mute"), fate="stay_silent"):
        # Given a rollout that waits for a device, then there is no second one of the model
        first = fleet.ask("rollout", "start", "slow", "--to", "id = mute")
        again = fleet.run("rollout", "start", "slow", "--to", "all")
        assert again.returncode == 2
        assert f"expected no running rollout, found rollout {first['id']}" in again.stderr
        fleet.ask("rollout", "abort", str(first["id"]), "--wait")
        # And one in which it has a second ends by that
        second = fleet.ask("rollout", "start", "slow", "--to", "id = mute", "--deadline-s", "1")
        with fleet.api as api:
            path = f"rollouts/{second['id']}"
            ended = wait_for(lambda: view if (view := api.get(path).json())["state"] != "running" else None)
            mute = api.get(f"{path}/devices").json()["items"][0]
    assert (ended["state"], mute["reason"]) == ("failed", "no outcome within 1 s; it was offered")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("device", "token", "--name", "../x", "--hardware", "cpu"), "command line: device: expected"),
        (("device", "token", "--hardware", "cpu", "--label", "site"), "--label: site: expected KEY=VALUE"),
        (("device", "token", "--hardware", "cpu", "--expires", "soon"), "--expires: duration: expected a number and a unit"),
        (("device", "revoke", "nobody"), "device nobody: expected a device of this fleet"),
        (("token", "create", "x", "--role", "king"), "command line: role: expected"),
        (("rollout", "start", "Bad Name", "--to", "all"), "command line: model: expected"),
        (("rollout", "start", "digits", "--to", "hw = "), "query 'hw = ': position 6: expected a value"),
        (("rollout", "show", "99"), "rollout 99: expected a rollout of this fleet"),
        (("device", "show", "nobody"), "device nobody: expected a device of this fleet"),
        (("release", "add", "nowhere"), "nowhere/manifest.json: expected a regular file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(fleet: FleetProcess, command: tuple[str, ...], said: str) -> None:
    done = fleet.run(*command)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_dashboard_link_is_the_servers_own(fleet: FleetProcess) -> None:
    assert fleet.run("dashboard").stdout.startswith(f"{fleet.connection['url']}/login?code=")


def test_what_a_device_says_is_shown_as_it_is_and_commands_no_terminal(fleet: FleetProcess, pi: Path) -> None:
    with SimDevice(pi) as device, fleet.api as api:
        device.send_event("[bold]loud[/bold] \x1b[2J")
        wait_for(lambda: "loud" in api.get("devices/pi-1").text)

    assert "[bold]loud[/bold] \ufffd[2J" in fleet.run("device", "show", "pi-1").stdout


def test_tables_are_for_people(fleet: FleetProcess, pi: Path) -> None:
    for command in (("devices",), ("device", "show", "pi-1"), ("release", "list"), ("rollout", "list"), ("rollout", "show")):
        done = fleet.run(*command)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_a_second_server_is_refused_in_one_line_and_disturbs_nothing(fleet: FleetProcess, tmp_path: Path) -> None:
    ports = ("--port", str(fleet.port), "--tls-port", str(fleet.tls_port), "--broker-port", str(fleet.broker_port))

    same_folder = fieldfare(fleet.folder, "fleet", "up")
    same_port = fieldfare(tmp_path / "other", "fleet", "up", *ports)
    same_broker = fieldfare(tmp_path / "other", "fleet", "up", "--port", "1", *ports[2:])

    assert (same_folder.returncode, same_port.returncode) == (2, 2)
    assert (
        same_folder.stderr
        == f"error: {fleet.folder}: expected no running fleet server, found one; stop it or choose another folder with --dir\n"
    )
    assert same_port.stderr.startswith(f"error: 127.0.0.1:{fleet.port}: expected a free port, found address already in use")
    assert same_broker.stderr.count("\n") == 1
    assert fleet.ask("devices")


def test_commands_without_a_server_say_what_to_do(tmp_path: Path) -> None:
    done = fieldfare(tmp_path / "nowhere", "devices")

    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {tmp_path}/nowhere/connection.json: expected a running fleet server's connection file")
    assert not (tmp_path / "nowhere").exists()


def test_an_agent_less_machine_lists_devices_without_the_servers_libraries(fleet: FleetProcess) -> None:
    assert shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    program = (
        "import importlib, sys, cli\n"
        "for part in cli.PARTS.values(): part.extra == 'fleet' and importlib.import_module(part.module)\n"
        "print(*sorted({'alembic', 'fastapi', 'nicegui', 'numpy', 'scipy', 'sqlalchemy', 'tuf', 'uvicorn'} & set(sys.modules)))"
    )
    assert fleet.python(program).split() == []


def test_a_device_gets_ranges_of_files_by_its_certificate_and_nobody_else_does(fleet: FleetProcess) -> None:
    # Given a file, a device that was let in, and one that was turned out
    raw = bytes(range(256)) * 8192
    digest = hashlib.sha256(raw).hexdigest()
    ranger, revoked = (fleet.add_device(name) / "identity.pem" for name in ("ranger", "turned-out"))
    with fleet.api as api:
        api.put(f"artifacts/{digest}", content=raw).raise_for_status()
        api.post("devices/turned-out/revocation").raise_for_status()
    authority = fleet.folder / "authority" / "ca.pem"
    path = f"/device/v1/artifacts/{digest}"

    def get(identity: Path | None, path: str = path, wanted: str = "bytes=1000000-1999999") -> httpx.Response:
        return httpx.get(fleet.tls_url + path, headers={"Range": wanted}, verify=context_of(identity, authority))

    # Then the one gets what it asks for
    part = get(ranger)
    assert (part.status_code, part.content) == (206, raw[1_000_000:2_000_000])
    assert part.headers["Content-Range"] == f"bytes 1000000-1999999/{len(raw)}"
    assert get(ranger, wanted="bytes=9999999-").status_code == 416
    assert get(ranger, path.replace(digest, "ab" * 32)).status_code == 404
    # And nobody else: not the other, nor who shows nothing, nor the fleet's own name, nor anybody without TLS
    for stranger in (revoked, None, fleet.folder / "authority" / "fleet.pem"):
        assert get(stranger).status_code == 401
    assert httpx.get(fleet.connection["url"] + path).status_code == 401


def test_a_session_that_began_with_tls_is_never_sent_in_the_clear(fleet: FleetProcess) -> None:
    with fleet.api as api:
        code = api.post("login-links").raise_for_status().json()["url"].partition("code=")[2]
        other = api.post("login-links").raise_for_status().json()["url"].partition("code=")[2]
    context = context_of(None, fleet.folder / "authority" / "ca.pem")

    outside = httpx.get(f"{fleet.tls_url}/login", params={"code": code}, verify=context, timeout=60)
    inside = httpx.get(f"{fleet.connection['url']}/login", params={"code": other}, timeout=60)

    assert outside.headers["set-cookie"].lower().endswith("; secure")
    assert "secure" not in inside.headers["set-cookie"].lower()
