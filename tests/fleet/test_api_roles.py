"""What each role may do, asked of a running server route by route."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest

from fleet.core.roles import NEEDED, Role, may
from tests.fleet.server import FleetProcess, fieldfare
from tests.live.authority import context_of

PREFIX = "/api/v1"
# Devices show a certificate there, and no token opens it.
BY_CERTIFICATE = {("GET", "/device/v1/artifacts/{sha256}")}
# Asked before a machine has any token, or by nobody in particular.
OPEN = {("GET", "/healthz"), ("GET", f"{PREFIX}/enrolment/ca.pem"), ("POST", f"{PREFIX}/enrolment")}
# Not in the document that it is.
HIDDEN = {("GET", f"{PREFIX}/openapi.json")}
# Changes nothing: the dashboard only shows.
VIEWERS_OWN = {("POST", f"{PREFIX}/login-links")}
FILLED = {"device": "nobody", "group": "nobody", "rollout": "99", "name": "timestamp.json", "role": "snapshot"}
FILLED |= {"sha256": "0" * 64, "command": "0" * 32}


@pytest.fixture(scope="module")
def tokens(fleet: FleetProcess) -> dict[str, str]:
    """Return a token for each role."""
    with fleet.api as api:
        return {role.word: api.post("tokens", json={"name": f"the-{role.word}", "role": role.word}).json()["token"] for role in Role}


@pytest.fixture(scope="module")
def routes(fleet: FleetProcess) -> list[tuple[str, str]]:
    """Return every route that the server describes."""
    with fleet.api as api:
        document = api.get("openapi.json").json()
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


def asked(fleet: FleetProcess, token: str, method: str, path: str) -> int:
    """Ask a route with values that exist nowhere, and return the status."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, fleet.connection["url"] + path.format(**FILLED), headers=headers, timeout=30).status_code


def test_the_list_of_roles_names_every_route_of_the_api_and_no_other(routes: list[tuple[str, str]]) -> None:
    described = {(method, path.removeprefix(PREFIX)) for method, path in {*routes, *HIDDEN} - OPEN - BY_CERTIFICATE}

    assert described == set(NEEDED)


def test_a_viewer_can_change_nothing(fleet: FleetProcess, tokens: dict[str, str], routes: list[tuple[str, str]]) -> None:
    changing = [route for route in routes if route[0] not in ("GET", "HEAD") and route not in OPEN | VIEWERS_OWN]

    assert len(changing) >= 9
    assert {route: asked(fleet, tokens["viewer"], *route) for route in changing} == dict.fromkeys(changing, 403)
    with fleet.api as api:
        assert [api.get(path).json()["items"] for path in ("devices", "releases", "rollouts")] == [[], [], []]


def test_each_role_passes_where_it_may_and_is_refused_where_it_may_not(
    fleet: FleetProcess, tokens: dict[str, str], routes: list[tuple[str, str]]
) -> None:
    for method, path in {*routes, *HIDDEN} - OPEN - BY_CERTIFICATE - {("DELETE", f"{PREFIX}/tokens/{{name}}")}:
        for role in Role:
            if role is Role.ADMIN and method != "GET":
                continue  # what an admin changes is other tests' matter
            status = asked(fleet, tokens[role.word], method, path)
            assert (status == 403) is not may(role, method, path.removeprefix(PREFIX)), (role, method, path, status)
            assert status != 401


def test_no_token_opens_nothing_but_the_open_routes(fleet: FleetProcess, routes: list[tuple[str, str]]) -> None:
    for route in {*routes, *HIDDEN} - OPEN:
        assert asked(fleet, "", *route) == 401


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
