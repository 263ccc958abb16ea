"""The way in and out of a served dashboard, as any HTTP client sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from fleet.core.audit import LinkedEntry
from fleet.dashboard.guard import FOREIGN_EVERY
from fleet.store.audit import AuditStore
from fleet.store.database import Database
from tests.fleet.dashboard.server import dashboard

CODES = [f"code-{number}" for number in range(14)]
PAGES = (
    "/",
    "/devices",
    "/rollouts/new",
    "/devices/rpi5-0000",
    "/rollouts",
    "/rollouts/2",
    "/releases",
    "/devices/rpi5-0000/settings",
    "/account",
    "/nowhere",
    "//elsewhere.example",
    "/_nicegui_ws/socket.io/",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("way-in")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with dashboard(folder, codes=",".join(CODES)) as found:
        yield found


def rows_of(folder: Path, what: str) -> list[LinkedEntry]:
    """Return what the server's audit log says of an act."""
    database = Database(folder / "fleet.db")
    try:
        return list(AuditStore(database).page(None, 10, what=what))
    finally:
        database.close()


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.mark.parametrize("page", PAGES)
def test_without_a_session_every_path_leads_to_the_way_in(browser: httpx.Client, address: str, page: str) -> None:
    answer = browser.get(address + page)
    assert (answer.status_code, answer.headers["location"], answer.text) == (303, "/login", "")


def test_the_way_in_says_how_to_get_a_link(browser: httpx.Client) -> None:
    answer = browser.get("/login")
    assert answer.status_code == 200
    assert '<code class="ff-command">fieldfare dashboard</code>' in answer.text


def test_a_code_opens_the_fleet_once(browser: httpx.Client, address: str) -> None:
    answer = browser.get("/login", params={"code": CODES[0]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/").status_code == 200

    again = httpx.get(f"{address}/login", params={"code": CODES[0]}, timeout=60)
    assert again.status_code == 401
    assert "This link does not work any more" in again.text


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_ends(browser: httpx.Client) -> None:
    answer = browser.get("/login", params={"code": CODES[1]})
    cookie = answer.headers["set-cookie"].lower()
    assert [part for part in ("httponly", "samesite=lax", "max-age=43200", "path=/") if part not in cookie] == []


def test_a_session_that_nobody_signed_is_none(browser: httpx.Client) -> None:
    browser.get("/login", params={"code": CODES[2]})
    content, _, signature = browser.cookies["fieldfare_session"].partition(".")
    for forged in (f"{content}.{signature[:-2]}xx", f"e30=.{signature}", content, "null"):
        answer = httpx.get(f"{browser.base_url}/", cookies={"fieldfare_session": forged}, timeout=60)
        assert answer.headers.get("location") == "/login"


@pytest.mark.parametrize(
    ("code", "extra"),
    [(CODES[3], "next=https://elsewhere.example"), (CODES[8], "redirect=//elsewhere.example"), (CODES[9], "url=javascript:1")],
)
def test_nothing_in_the_address_sends_a_browser_elsewhere(browser: httpx.Client, code: str, extra: str) -> None:
    answer = browser.get(f"/login?{extra}&code={code}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_signing_out_ends_the_session_even_for_who_kept_the_cookie(browser: httpx.Client) -> None:
    browser.get("/login", params={"code": CODES[4]})
    kept = dict(browser.cookies)
    assert browser.get("/releases").status_code == 200

    assert browser.post("/logout").headers["location"] == "/login"

    assert browser.get("/releases").headers["location"] == "/login"
    assert httpx.get(f"{browser.base_url}/releases", cookies=kept, timeout=60).headers["location"] == "/login"


def test_a_link_on_another_site_cannot_sign_anyone_out(browser: httpx.Client) -> None:
    browser.get("/login", params={"code": CODES[5]})
    assert browser.get("/logout").status_code in (404, 405)
    assert browser.get("/").status_code == 200


def test_what_another_site_sends_in_somebodys_name_is_refused_and_told_at_most_every_ten_seconds(
    browser: httpx.Client, address: str, folder: Path
) -> None:
    # Given somebody who is signed in, and a page of another site
    browser.get("/login", params={"code": CODES[12]})
    foreign = {"Origin": "https://elsewhere.example"}
    # When it sends what a form here would send, again and again
    began_s = time.monotonic()
    for path in ("/logout", "/account/password", "/logout"):
        answer = browser.post(path, headers=foreign)
        assert (answer.status_code, answer.text) == (403, "expected a page of this server, found another site")
    # Then nothing came of it, and the log says so once
    assert browser.get("/").status_code == 200
    row, *more = rows_of(folder, "dashboard.foreign")
    assert len(more) <= (time.monotonic() - began_s) // FOREIGN_EVERY.total_seconds()
    assert (row.who, row.subject, row.outcome, row.detail) == (
        "token owner",
        "/logout",
        "refused",
        '{"origin":"https://elsewhere.example"}',
    )
    # And whoever is nobody leaves no row, as with the API
    assert httpx.post(f"{address}/logout", headers=foreign, timeout=60).status_code == 403
    assert rows_of(folder, "dashboard.foreign") == [row, *more]


def test_who_has_no_password_here_changes_none(browser: httpx.Client) -> None:
    browser.get("/login", params={"code": CODES[13]})
    assert "belongs to a program" in browser.get("/account").text
    form = {"old": "", "new": "another horse battery", "again": "another horse battery"}
    answer = browser.post("/account/password", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?said=wrong")
    assert browser.get("/").status_code == 200
    assert browser.post("/account/password", content=b"x" * 100_000).headers["location"] == "/account?said=large"


def test_a_websocket_needs_a_session_too(browser: httpx.Client, address: str) -> None:
    socket = address.replace("http:", "ws:") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus, match="403"):
        connect(socket, open_timeout=20).close()

    browser.get("/login", params={"code": CODES[6]})
    cookie = f"fieldfare_session={browser.cookies['fieldfare_session']}"
    with connect(socket, open_timeout=20, additional_headers={"Cookie": cookie}) as opened:
        assert str(opened.recv(timeout=20)).startswith("0{")


def test_pages_may_not_be_framed_nor_reach_other_hosts(browser: httpx.Client) -> None:
    browser.get("/login", params={"code": CODES[7]})
    for path in ("/", "/login"):
        policy = browser.get(path, follow_redirects=True).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("code", "path", "title"),
    [(CODES[10], "/devices/nobody", "There is no device nobody"), (CODES[11], "/rollouts/99", "There is no rollout 99")],
)
def test_what_the_fleet_does_not_know_is_not_found(browser: httpx.Client, code: str, path: str, title: str) -> None:
    browser.get("/login", params={"code": code})
    answer = browser.get(path)
    assert answer.status_code == 404
    assert title in answer.text


def test_the_servers_own_routes_are_left_alone(browser: httpx.Client) -> None:
    assert browser.get("/healthz").text == '"ok"'
