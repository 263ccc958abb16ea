"""Who may look at the dashboard, and for how long."""

from __future__ import annotations

from typing import Any

from fleet.core.roles import Caller, Role
from fleet.dashboard.guard import is_public
from fleet.dashboard.session import MAX_CODE_CHARS, SESSION_S, Sessions, read_login, write_login

ANNA = Caller("anna", Role.OPERATOR)
KNOWN = {"anna": ANNA}


class Codes:
    """Says once for each code whose it is, and remembers what it was asked."""

    def __init__(self, *codes: str) -> None:
        self._codes = set(codes)
        self.asked: list[str] = []

    def __call__(self, code: str) -> Caller | None:
        self.asked.append(code)
        is_known = code in self._codes
        self._codes.discard(code)
        return ANNA if is_known else None


def test_a_code_opens_one_session_only() -> None:
    sessions = Sessions(Codes("once"), KNOWN.get)
    assert sessions.is_open(sessions.redeem("once"))
    assert sessions.redeem("once") is None


def test_a_session_ends_by_itself() -> None:
    now = [1000.0]
    sessions = Sessions(lambda _code: ANNA, KNOWN.get, now=lambda: now[0])
    login = sessions.redeem("code")
    now[0] += SESSION_S - 1
    assert sessions.is_open(login)
    now[0] += 1
    assert not sessions.is_open(login)


def test_signing_out_ends_that_session_alone_and_is_forgotten_after_it_would_have_ended() -> None:
    now = [1000.0]
    sessions = Sessions(lambda _code: ANNA, KNOWN.get, now=lambda: now[0])
    first, second = sessions.redeem("a"), sessions.redeem("b")
    assert first is not None
    sessions.end(first)
    assert (sessions.is_open(first), sessions.is_open(second)) == (False, True)
    now[0] += SESSION_S + 1
    assert not sessions.is_open(first)


def test_an_empty_or_endless_code_is_not_even_asked_for() -> None:
    codes = Codes("", "x" * (MAX_CODE_CHARS + 1))
    sessions = Sessions(codes, KNOWN.get)
    assert sessions.redeem("") is None
    assert sessions.redeem("x" * (MAX_CODE_CHARS + 1)) is None
    assert codes.asked == []


def test_a_cookie_carries_a_session_and_nothing_else_is_one() -> None:
    sessions = Sessions(lambda _code: ANNA, KNOWN.get)
    login, cookie = sessions.redeem("code"), dict[str, Any]()
    assert login is not None
    write_login(cookie, login)
    assert read_login(cookie) == login
    assert login.name == "anna"
    assert read_login({"id": "a visitor"}) is None
    assert read_login({"login": {"id": "of an earlier release", "until": 9e9}}) is None
    assert not sessions.is_open(None)


def test_only_the_way_in_and_files_without_data_are_public() -> None:
    assert [
        path for path in ("/login", "/favicon.ico", "/dashboard-static/icon.svg", "/_nicegui/3/static/x.js") if not is_public(path)
    ] == []
    private = ("/", "/login/x", "/logout", "/devices/a", "/_nicegui_ws/socket.io/", "/dashboard-static", "/anything")
    assert [path for path in private if is_public(path)] == []


def test_who_is_at_a_browser_is_asked_anew_and_is_nobody_once_signed_out_or_turned_out() -> None:
    known = dict(KNOWN)
    sessions = Sessions(lambda _code: ANNA, known.get)
    login, other = sessions.redeem("code"), sessions.redeem("code")
    assert login is not None
    assert sessions.caller_of(login) == ANNA
    known["anna"] = Caller("anna", Role.VIEWER)
    assert sessions.caller_of(login) == Caller("anna", Role.VIEWER)
    sessions.end(login)
    assert sessions.caller_of(login) is None
    del known["anna"]
    assert (sessions.caller_of(other), sessions.caller_of(None)) == (None, None)
