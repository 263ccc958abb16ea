"""What each role may do: every role is tried on every route of a running server."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest

from fleet.core.roles import ROLE_BY_WORD, Role, may
from tests.fleet.server import FleetProcess, fieldfare
from tests.live.authority import context_of

PREFIX = "/api/v1"
# Who may use a route: everybody, a device by its certificate, or whoever has at least a role.
OPEN, DEVICE = "everybody", "a device"
WHO_MAY: dict[tuple[str, str], str] = {
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/device/v1/artifacts/{sha256}"): DEVICE,
    ("GET", "/api/v1/enrolment/ca.pem"): OPEN,
    ("POST", "/api/v1/enrolment"): OPEN,
    ("GET", "/api/v1/openapi.json"): "viewer",
    ("GET", "/api/v1/overview"): "viewer",
    ("GET", "/api/v1/devices"): "viewer",
    ("GET", "/api/v1/devices/{device}"): "viewer",
    ("GET", "/api/v1/devices/{device}/events"): "viewer",
    ("GET", "/api/v1/devices/{device}/health"): "viewer",
    ("GET", "/api/v1/devices/{device}/inference"): "viewer",
    ("GET", "/api/v1/quarantine"): "viewer",
    ("GET", "/api/v1/groups"): "viewer",
    ("GET", "/api/v1/groups/{group}"): "viewer",
    ("GET", "/api/v1/costs"): "viewer",
    ("GET", "/api/v1/configurations"): "viewer",
    ("GET", "/api/v1/groups/{group}/devices"): "viewer",
    ("GET", "/api/v1/releases"): "viewer",
    ("GET", "/api/v1/rollouts"): "viewer",
    ("GET", "/api/v1/rollouts/{rollout}"): "viewer",
    ("GET", "/api/v1/rollouts/{rollout}/devices"): "viewer",
    ("GET", "/api/v1/rollouts/{rollout}/history"): "viewer",
    ("GET", "/api/v1/trust/{name}"): "viewer",
    ("GET", "/api/v1/authority"): "viewer",
    ("GET", "/api/v1/authority/dependents"): "viewer",
    ("HEAD", "/api/v1/artifacts/{sha256}"): "viewer",
    ("POST", "/api/v1/login-links"): "viewer",
    ("GET", "/api/v1/devices/{device}/commands"): "operator",
    ("GET", "/api/v1/devices/{device}/commands/{command}"): "operator",
    ("POST", "/api/v1/devices/{device}/commands"): "operator",
    ("POST", "/api/v1/configurations"): "operator",
    ("POST", "/api/v1/configurations/trial"): "operator",
    ("POST", "/api/v1/device-labels"): "operator",
    ("PUT", "/api/v1/groups/{group}"): "operator",
    ("DELETE", "/api/v1/groups/{group}"): "operator",
    ("PUT", "/api/v1/artifacts/{sha256}"): "operator",
    ("POST", "/api/v1/releases"): "operator",
    ("POST", "/api/v1/rollouts"): "operator",
    ("POST", "/api/v1/rollouts/preview"): "operator",
    ("POST", "/api/v1/rollouts/preview/chosen"): "operator",
    ("POST", "/api/v1/rollouts/preview/excluded"): "operator",
    ("POST", "/api/v1/rollouts/{rollout}/approve"): "operator",
    ("POST", "/api/v1/rollouts/{rollout}/pause"): "operator",
    ("POST", "/api/v1/rollouts/{rollout}/resume"): "operator",
    ("POST", "/api/v1/rollouts/{rollout}/promote"): "operator",
    ("POST", "/api/v1/rollouts/{rollout}/abort"): "operator",
    ("POST", "/api/v1/rollouts/{rollout}/rollback"): "operator",
    ("POST", "/api/v1/rollouts/{rollout}/retry"): "operator",
    ("POST", "/api/v1/enrolment-tokens"): "admin",
    ("POST", "/api/v1/simulated-devices"): "admin",
    ("POST", "/api/v1/devices/{device}/revocation"): "admin",
    ("DELETE", "/api/v1/devices/{device}"): "admin",
    ("POST", "/api/v1/authority/successor"): "admin",
    ("POST", "/api/v1/authority/retirement"): "admin",
    ("POST", "/api/v1/trust"): "admin",
    ("POST", "/api/v1/online-keys/{role}"): "admin",
    ("GET", "/api/v1/tokens"): "admin",
    ("POST", "/api/v1/tokens"): "admin",
    ("DELETE", "/api/v1/tokens/{name}"): "admin",
    ("GET", "/api/v1/audit"): "admin",
    ("GET", "/api/v1/users"): "admin",
    ("POST", "/api/v1/users"): "admin",
    ("PUT", "/api/v1/users/{name}/password"): "admin",
    ("PUT", "/api/v1/users/{name}/role"): "admin",
    ("DELETE", "/api/v1/users/{name}"): "admin",
}
# Not in the document that it is.
HIDDEN = {("GET", "/api/v1/openapi.json")}
# Words that are right, and name nothing that is there.
FILLED = {"device": "nobody", "group": "nobody", "rollout": "99", "name": "timestamp.json", "role": "snapshot"}
FILLED |= {"sha256": "0" * 64, "command": "0" * 32}
CALLERS = ("", *(role.word for role in Role))


@pytest.fixture(scope="module")
def tokens(fleet: FleetProcess) -> dict[str, str]:
    """Return a token for each role, and none for nobody."""
    with fleet.api as api:
        made = {role.word: api.post("tokens", json={"name": f"the-{role.word}", "role": role.word}).json()["token"] for role in Role}
    return {"": "", **made}


def asked(fleet: FleetProcess, token: str, method: str, path: str) -> int:
    """Ask a route with values that exist nowhere, and return the status."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, fleet.connection["url"] + path.format(**FILLED), headers=headers, timeout=30).status_code


def expected(who: str, caller: str) -> str:
    """Say how a caller fares on a route: let in, or refused as a stranger, or for his role."""
    if who == OPEN:
        return "let in"
    if who == DEVICE or not caller:
        return "a stranger"
    return "let in" if ROLE_BY_WORD[caller] >= ROLE_BY_WORD[who] else "the role"


def test_every_route_says_who_may_use_it(fleet: FleetProcess) -> None:
    with fleet.api as api:
        document = api.get("openapi.json").json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert described | HIDDEN == set(WHO_MAY)


def test_every_role_is_tried_on_every_route(fleet: FleetProcess, tokens: dict[str, str]) -> None:
    words = {401: "a stranger", 403: "the role"}

    found = {
        (caller, *route): words.get(asked(fleet, tokens[caller], *route), "let in")
        for route in sorted(WHO_MAY)
        if route != ("POST", f"{PREFIX}/enrolment")  # it answers 403 to a wrong one-time token, and 422 to none
        for caller in CALLERS
    }

    assert len(found) >= 4 * 40
    assert found == {(caller, method, path): expected(WHO_MAY[method, path], caller) for caller, method, path in found}
    with fleet.api as api:
        assert [api.get(path).json()["items"] for path in ("devices", "releases", "rollouts")] == [[], [], []]


def test_a_route_that_nobody_listed_is_closed_to_everybody() -> None:
    assert not may(Role.ADMIN, "POST", "/a-new-route")
    assert not may(Role.ADMIN, "DELETE", "/devices")


def test_a_viewer_is_told_in_one_line_what_is_missing(fleet: FleetProcess, tmp_path: Path) -> None:
    made = fleet.run("token", "create", "vera", "--out", str(tmp_path / "vera"))
    refused = fieldfare(tmp_path / "vera", "device", "token", "--hardware", "cpu")

    assert made.returncode == 0, made.stderr
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "error: expected a token with role admin, found role viewer; ask an admin for one: `fieldfare token create`\n"
    )


def test_a_connection_file_reaches_the_server_from_elsewhere_by_tls_alone(fleet: FleetProcess, tmp_path: Path) -> None:
    # Given a connection file for another machine, readable by its owner alone
    fleet.run("token", "create", "remote", "--out", str(tmp_path / "remote"))
    file = tmp_path / "remote" / "connection.json"
    found = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert found["url"] == fleet.tls_url
    assert "broker" not in found
    # Then commands work with it, and log links lead to where they came from
    assert fieldfare(tmp_path / "remote", "devices").returncode == 0
    assert fieldfare(tmp_path / "remote", "dashboard").stdout.startswith(fleet.tls_url)
    # When another authority stands in it, then the server is not believed
    file.write_text(json.dumps({**found, "ca": None}))
    assert "certificate verify failed" in (refused := fieldfare(tmp_path / "remote", "devices")).stderr
    assert refused.returncode == 3
    # And a token is never sent in the clear to another machine
    file.write_text(json.dumps({**found, "url": "http://192.0.2.1:8480"}))
    clear = fieldfare(tmp_path / "remote", "devices")
    assert (clear.returncode, clear.stderr.count("\n")) == (2, 1)
    assert "expected https://" in clear.stderr


def test_a_token_that_was_revoked_opens_nothing_and_a_name_is_given_once(fleet: FleetProcess) -> None:
    token = fleet.ask("token", "create", "gone", "--role", "operator", "--expires", "1h")["token"]
    with fleet.api as api:
        taken = api.post("tokens", json={"name": "gone", "role": "admin"})
    assert (taken.status_code, taken.json()["detail"][:34]) == (409, "token gone: expected a new name, f")
    assert asked(fleet, token, "GET", f"{PREFIX}/devices") == 200

    assert fleet.run("token", "revoke", "gone").returncode == 0

    assert asked(fleet, token, "GET", f"{PREFIX}/devices") == 401
    assert "gone" not in [each["name"] for each in fleet.ask("token", "list")]


def test_the_dashboard_is_entered_over_tls_too(fleet: FleetProcess, tokens: dict[str, str]) -> None:
    context = context_of(None, fleet.folder / "authority" / "ca.pem")
    headers = {"Authorization": f"Bearer {tokens['viewer']}"}
    with httpx.Client(base_url=fleet.tls_url, verify=context, timeout=30) as browser:
        link = browser.post(f"{PREFIX}/login-links", headers=headers).json()["url"]
        assert browser.get(link).headers["location"] == "/"
        assert browser.get("/").status_code == 200
        assert browser.get(link).status_code in (303, 401)
