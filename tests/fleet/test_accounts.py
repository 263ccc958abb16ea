"""People, sessions and the audit log of a running server, from the command line and as a browser sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fleet.server import ROOT, FleetProcess, environment
from tests.live.authority import context_of

PASSWORD = "correct horse battery"


def add_user(fleet: FleetProcess, name: str, role: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    """Add somebody, with the password on standard input."""
    command = (sys.executable, "-m", "cli", "user", "add", name, "--role", role, "--password-file", "-")
    return subprocess.run(
        command, cwd=ROOT, env=environment(fleet.folder), input=f"{password}\n", capture_output=True, text=True, check=False, timeout=180
    )


@pytest.fixture(scope="module")
def people(fleet: FleetProcess) -> FleetProcess:
    """A server with an operator and an admin."""
    with fleet.api as api:
        for name, role in (("olga", "operator"), ("adam", "admin")):
            assert api.post("users", json={"name": name, "role": role, "password": PASSWORD}).status_code == 204
    return fleet


@pytest.fixture
def browser(people: FleetProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=people.connection["url"], timeout=60) as client:
        yield client


def sign_in(browser: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Fill in the form."""
    return browser.post("/login", data={"name": name, "password": password})


def rows(fleet: FleetProcess, **wanted: str) -> list[dict[str, Any]]:
    """Return rows of the audit log, newest first."""
    with fleet.api as api:
        found: list[dict[str, Any]] = api.get("audit", params=wanted).raise_for_status().json()["items"]
    return found


def test_a_new_server_says_how_the_first_admin_gets_in(tmp_path: Path) -> None:
    with FleetProcess(tmp_path / "home") as fleet:
        assert fleet.process is not None
        assert fleet.process.stdout is not None
        said = fleet.process.stdout.readline() + fleet.process.stdout.readline()
        assert "fieldfare user add NAME --role admin" in said
        assert "fieldfare dashboard" in said
        # When that is done, then a name and its password open the dashboard
        added = add_user(fleet, "anna", "admin")
        assert (added.returncode, added.stdout) == (0, "added anna, admin\n"), added.stderr
        with httpx.Client(base_url=fleet.connection["url"], timeout=60) as browser:
            assert sign_in(browser, "anna").headers["location"] == "/"
            assert browser.get("/").status_code == 200
            # And until the admin's role changes, that browser stays in
            assert fleet.run("user", "role", "anna", "viewer").returncode == 0
            assert browser.get("/").headers["location"] == "/login"
        assert [(each["name"], each["role"]) for each in fleet.ask("user", "list")] == [("anna", "viewer")]
        assert PASSWORD not in Path(fleet.log.name).read_text()


def test_a_password_that_is_too_short_or_not_given_is_one_line_that_does_not_repeat_it(people: FleetProcess) -> None:
    for done in (add_user(people, "bob", "viewer", "too short"), people.run("user", "add", "bob", "--password-file", "/nowhere")):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith("error: password: expected")
        assert "too short" not in done.stderr
    with people.api as api:
        refused = api.post("users", json={"name": "bob", "role": "viewer", "password": "too short"})
    assert refused.status_code == 422
    assert "too short" not in refused.text


def test_the_form_lets_in_by_the_right_password_alone(people: FleetProcess, browser: httpx.Client) -> None:
    page = browser.get("/login")
    fields = ('name="name"', 'name="password"', 'type="password"', 'autocomplete="current-password"')
    assert [field for field in fields if field not in page.text] == []
    refused = sign_in(browser, "olga", "another password")
    assert refused.status_code == 401
    assert 'role="alert"' in refused.text
    assert "another password" not in refused.text
    assert browser.get("/").headers["location"] == "/login"
    assert sign_in(browser, "olga").headers["location"] == "/"
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("content", [b"x" * 20_000, b"&" * 100, b"name=%ff%fe&password=%00", b"", b'{"name": "olga"}'])
def test_what_is_no_form_is_no_way_in(browser: httpx.Client, content: bytes) -> None:
    answer = browser.post("/login", content=content, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code in (401, 413, 429)


def test_a_form_on_another_site_signs_nobody_in_or_out(browser: httpx.Client) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert browser.post("/login", data={"name": "olga", "password": PASSWORD}, headers=foreign).status_code == 403
    sign_in(browser, "olga")
    for headers in (foreign, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post("/logout", headers=headers).status_code == 403
    assert browser.get("/").status_code == 200


def test_the_cookie_is_for_our_pages_alone_and_over_tls_for_tls_alone(people: FleetProcess) -> None:
    context = context_of(None, people.folder / "authority" / "ca.pem")
    with httpx.Client(base_url=people.tls_url, verify=context, timeout=60) as browser:
        cookie = sign_in(browser, "olga").headers["set-cookie"].lower()
        assert [part for part in ("httponly", "samesite=lax", "secure", "path=/") if part not in cookie] == []
        assert browser.get("/").status_code == 200


def test_whoever_signs_in_gets_a_session_of_his_own_and_no_earlier_one(browser: httpx.Client) -> None:
    sign_in(browser, "olga")
    first = dict(browser.cookies)
    sign_in(browser, "adam")
    assert dict(browser.cookies) != first
    assert browser.get("/audit").status_code == 200


def test_every_act_is_one_row_and_the_request_id_leads_to_it(people: FleetProcess) -> None:
    with people.api as api:
        done = api.put("groups/lyon", json={"query": 'label.site = "lyon"'})
        refused = api.put("groups/lyon", json={"query": "all"}, headers={"If-Match": '"0123456789abcdef"'})
        api.get("groups")
        api.post("rollouts/preview", json={"model": "digits", "query": "all"})
    newest = rows(people, limit="2")
    assert [(row["who"], row["role"], row["what"], row["subject"], row["outcome"]) for row in newest] == [
        ("token owner", "admin", "groups.set", "lyon", "refused"),
        ("token owner", "admin", "groups.set", "lyon", "done"),
    ]
    assert [row["request"] for row in newest] == [refused.headers["x-request-id"], done.headers["x-request-id"]]
    assert newest[1]["detail"] == '{"query":"label.site = \\"lyon\\""}'
    assert newest[1]["source"] == "api 127.0.0.1"
    asked = ("--since", "1h", "--who", "owner", "--what", "groups", "--limit", "2")
    assert [row["number"] for row in people.ask("audit", "list", *asked)] == [row["number"] for row in newest]


def test_logins_enrolments_revocations_and_what_a_role_forbids_are_told(people: FleetProcess, browser: httpx.Client) -> None:
    people.add_device("pi-1")
    people.run("device", "revoke", "pi-1")
    token = people.ask("token", "create", "vera")["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.delete(f"{people.connection['url']}/api/v1/groups/lyon", headers=headers, timeout=60).status_code == 403
    sign_in(browser, "olga")
    browser.post("/logout")
    # The last: who fails may have to wait before the next attempt.
    sign_in(browser, "olga", "a wrong password")

    found = [(row["who"], row["what"], row["subject"], row["outcome"]) for row in rows(people, limit="9")]
    assert found == [
        ("user olga", "login.password", "", "refused"),
        ("user olga", "logout", "", "done"),
        ("user olga", "login.password", "", "done"),
        ("token vera", "groups.remove", "lyon", "refused"),
        ("token owner", "tokens.create", "vera", "done"),
        ("token owner", "devices.revocation", "pi-1", "done"),
        ("machine", "enrolment.create", "pi-1", "done"),
        ("token owner", "enrolment-tokens.create", "pi-1", "done"),
        found[-1],
    ]


def test_whoever_has_no_good_token_leaves_no_row(people: FleetProcess) -> None:
    before = rows(people, limit="1")
    answer = httpx.post(f"{people.connection['url']}/api/v1/tokens", json={"name": "x", "role": "admin"}, timeout=60)
    assert answer.status_code == 401
    assert rows(people, limit="1") == before


def test_the_log_goes_out_page_by_page_without_secrets_and_is_proved_elsewhere(people: FleetProcess, tmp_path: Path) -> None:
    # Given a log with at least some rows, in pages
    with people.api as api:
        for number in range(3):
            api.put(f"groups/g{number}", json={"query": "all"})
        found, cursor = [], None
        while True:
            page = api.get("audit", params={"limit": 2, "order": "oldest", **({"cursor": cursor} if cursor else {})}).json()
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
    assert [row["number"] for row in found] == list(range(1, len(found) + 1))
    # When it is exported
    exported = people.run("audit", "export")
    file = tmp_path / "audit.jsonl"
    file.write_text(exported.stdout)
    # Then it holds what the API said, and no secret
    assert [json.loads(line)["sha256"] for line in exported.stdout.splitlines()][: len(found)] == [row["sha256"] for row in found]
    assert PASSWORD not in exported.stdout
    assert people.connection["token"] not in exported.stdout
    # And both the server's log and the file are proved, up to the anchor
    proved = people.run("audit", "verify", "--file", str(file))
    assert proved.returncode == 0, proved.stderr
    anchor = proved.stdout.rsplit("anchor: ", 1)[1].strip()
    assert people.run("audit", "verify", "--anchor", anchor).returncode == 0
    # When a line is changed, or the last ones are cut off, then that is one line and status 1
    lines = exported.stdout.splitlines(keepends=True)
    file.write_text("".join([*lines[:2], lines[2].replace("token owner", "token other"), *lines[3:]]))
    changed = people.run("audit", "verify", "--file", str(file))
    assert (changed.returncode, changed.stderr.startswith("error: audit row 3: ")) == (1, True)
    file.write_text("".join(lines[:-1]))
    assert people.run("audit", "verify", "--file", str(file)).returncode == 0
    cut = people.run("audit", "verify", "--file", str(file), "--anchor", anchor)
    assert (cut.returncode, "later rows were cut off" in cut.stderr) == (1, True)


def test_admins_alone_see_the_log_in_the_dashboard(browser: httpx.Client) -> None:
    sign_in(browser, "olga")
    assert "This takes the role admin; yours is operator." in browser.get("/audit").text
    sign_in(browser, "adam")
    page = browser.get("/audit").text
    assert "login.password" in page
    assert "This takes the role admin" not in page
