"""Who is at a browser, and what the guard lets through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from fleet.core.roles import Caller, Role
from fleet.dashboard.guard import comes_from_elsewhere, is_public
from fleet.dashboard.session import MAX_CODE_CHARS, Sessions, read_login, write_login
from fleet.front_desk import FrontDesk, Registers
from fleet.passwords import Passwords
from fleet.store.access import AccessStore
from fleet.store.audit import AuditStore
from fleet.store.database import Database
from fleet.store.login_failures import LoginFailureStore
from fleet.store.people import PeopleStore
from fleet.store.sessions import IDLE, LIFE, SessionStore
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ADDRESS = "192.0.2.7"


class Desk:
    """A front desk on a real database, with a clock that stands until it is moved."""

    def __init__(self, database: Database) -> None:
        self.now = NOW
        self.access, self.people, self.log = AccessStore(database), PeopleStore(database), AuditStore(database)
        self.passwords = Passwords(cost_log2=4)
        self.access.add_token("a token", "owner", Role.ADMIN, None, NOW)
        self.people.add("anna", Role.OPERATOR, self.passwords.kept("correct horse battery"), NOW)
        registers = Registers(self.people, LoginFailureStore(database), SessionStore(database), self.access, self.log)
        self.desk = FrontDesk(registers, self.passwords, lambda: self.now)
        self.sessions = Sessions(self.desk)

    def code(self, text: str) -> str:
        """Let a code in."""
        self.access.add_code(text, "owner", NOW + timedelta(days=2), NOW)
        return text


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    database = Database(new_place(request.param, tmp_path))
    yield Desk(database)
    database.close()


def test_a_code_opens_one_session_only_as_the_token_that_asked_for_it(desk: Desk) -> None:
    login = desk.sessions.redeem(desk.code("once"), ADDRESS)

    assert desk.sessions.caller_of(login) == Caller("owner", Role.ADMIN, "token")
    assert desk.sessions.redeem("once", ADDRESS) is None


def test_a_session_ends_after_a_day_at_work_although_it_is_used_all_the_time(desk: Desk) -> None:
    login = desk.sessions.redeem(desk.code("once"), ADDRESS)
    while desk.now < NOW + LIFE:
        assert desk.sessions.is_open(login)
        desk.now += IDLE / 2
    assert not desk.sessions.is_open(login)


def test_a_session_that_nobody_uses_ends_sooner(desk: Desk) -> None:
    login = desk.sessions.redeem(desk.code("once"), ADDRESS)
    desk.now += IDLE - timedelta(seconds=1)
    assert desk.sessions.is_open(login)
    desk.now += IDLE - timedelta(seconds=1)
    assert desk.sessions.is_open(login)
    desk.now += IDLE
    assert not desk.sessions.is_open(login)


def test_signing_out_ends_that_session_alone(desk: Desk) -> None:
    first, second = desk.sessions.redeem(desk.code("a"), ADDRESS), desk.sessions.redeem(desk.code("b"), ADDRESS)
    assert first is not None
    desk.desk.sign_out(first.key, ADDRESS)
    assert (desk.sessions.is_open(first), desk.sessions.is_open(second)) == (False, True)


def test_a_token_that_is_revoked_ends_what_its_links_opened_and_its_links_open_nothing(desk: Desk) -> None:
    login = desk.sessions.redeem(desk.code("once"), ADDRESS)
    desk.code("later")

    desk.access.revoke_token("owner")

    assert not desk.sessions.is_open(login)
    assert desk.sessions.redeem("later", ADDRESS) is None


@pytest.mark.parametrize("change", ["password", "role", "removal"])
def test_whatever_changes_a_person_ends_all_of_that_persons_sessions(desk: Desk, change: str) -> None:
    keys = [desk.desk.sign_in("anna", "correct horse battery", ADDRESS) for _ in range(2)]
    other = desk.sessions.redeem(desk.code("once"), ADDRESS)
    assert [desk.desk.caller_of(key) for key in keys] == [Caller("anna", Role.OPERATOR, "user")] * 2

    match change:
        case "password":
            desk.people.set_password("anna", desk.passwords.kept("another password"), NOW)
        case "role":
            desk.people.set_role("anna", Role.VIEWER, NOW)
        case _:
            desk.people.remove("anna")

    assert [desk.desk.caller_of(key) for key in keys] == [None, None]
    assert desk.sessions.is_open(other)


def test_an_empty_or_endless_code_is_not_even_asked_for(desk: Desk) -> None:
    endless = desk.code("x" * (MAX_CODE_CHARS + 1))
    assert desk.sessions.redeem("", ADDRESS) is None
    assert desk.sessions.redeem(endless, ADDRESS) is None
    assert desk.access.redeem_code(endless, NOW) is not None


def test_a_cookie_carries_a_session_and_nothing_else_is_one(desk: Desk) -> None:
    login, cookie = desk.sessions.redeem(desk.code("code"), ADDRESS), dict[str, Any](id="of before")
    assert login is not None
    write_login(cookie, login)
    assert read_login(cookie) == login
    assert "id" not in cookie
    assert login.key not in repr(login)
    assert read_login({"id": "a visitor", "key": 7}) is None
    assert not desk.sessions.is_open(None)


def test_only_the_way_in_and_files_without_data_are_public() -> None:
    public = ("/login", "/login/openid", "/login/openid/return", "/favicon.ico", "/dashboard-static/icon.svg", "/_nicegui/3/static/x.js")
    assert [path for path in public if not is_public(path)] == []
    private = ("/", "/login/x", "/logout", "/devices/a", "/audit", "/_nicegui_ws/socket.io/", "/dashboard-static", "/anything")
    assert [path for path in private if is_public(path)] == []


@pytest.mark.parametrize(
    ("headers", "is_elsewhere"),
    [
        ({"host": "fleet:8481", "origin": "https://fleet:8481"}, False),
        ({"host": "fleet:8481", "origin": "https://fleet:9000"}, True),
        ({"host": "fleet:8481", "origin": "https://evil.example"}, True),
        ({"host": "fleet:8481", "origin": "null"}, True),
        ({"host": "fleet:8481", "sec-fetch-site": "cross-site"}, True),
        ({"host": "fleet:8481", "sec-fetch-site": "same-site"}, True),
        ({"host": "fleet:8481", "sec-fetch-site": "same-origin"}, False),
        ({"host": "fleet:8481"}, False),
    ],
)
def test_what_a_browser_sends_from_another_site_or_port_is_told_apart(headers: dict[str, str], is_elsewhere: bool) -> None:
    assert comes_from_elsewhere(Headers(headers)) is is_elsewhere
