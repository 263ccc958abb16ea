"""The way in and out of a served dashboard, as any HTTP client sees it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.fleet.dashboard.server import dashboard

CODES = [f"code-{number}" for number in range(12)]
PAGES = (
    "/",
    "/devices",
    "/rollouts/new",
    "/devices/rpi5-0000",
    "/rollouts",
    "/rollouts/2",
    "/releases",
    "/nowhere",
    "//elsewhere.example",
    "/_nicegui_ws/socket.io/",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dashboard(tmp_path_factory.mktemp("way-in"), codes=",".join(CODES)) as found:
        yield found


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

    again = httpx.get(f"{address}/login", params={"code": CODES[0]})
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
        answer = httpx.get(f"{browser.base_url}/", cookies={"fieldfare_session": forged})
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
    assert httpx.get(f"{browser.base_url}/releases", cookies=kept).headers["location"] == "/login"


def test_a_link_on_another_site_cannot_sign_anyone_out(browser: httpx.Client) -> None:
    browser.get("/login", params={"code": CODES[5]})
    assert browser.get("/logout").status_code in (404, 405)
    assert browser.get("/").status_code == 200


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
