"""Names and passwords: what is kept of them, who has to wait, and what is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleet.core.logins import FORGET_AFTER, FREE_FAILURES, LONGEST, wait_after
from fleet.core.roles import Caller, Role
from fleet.errors.people import LoginRefusedError, PasswordError, PersonExistsError, TooManyLoginsError, UnknownPersonError
from fleet.front_desk import FrontDesk, Registers
from fleet.passwords import MIN_CHARS, Passwords
from fleet.store.access import AccessStore
from fleet.store.audit import AuditStore
from fleet.store.database import Database
from fleet.store.login_failures import LoginFailureStore
from fleet.store.people import PeopleStore
from fleet.store.place import PostgresUrl
from fleet.store.sessions import SessionStore
from fleet.store.tables import metadata
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
RIGHT = "correct horse battery"
# As cheap as the database, since many are tried here.
PASSWORDS = Passwords(cost_log2=4)
KEPT = PASSWORDS.kept(RIGHT)


class Door:
    """A front desk that anna can pass, with a clock that stands until it is moved."""

    def __init__(self, place: Path | PostgresUrl) -> None:
        self.database, self.now = Database(place), NOW
        self.people, self.log, self.failures = PeopleStore(self.database), AuditStore(self.database), LoginFailureStore(self.database)
        registers = Registers(self.people, self.failures, SessionStore(self.database), AccessStore(self.database), self.log)
        self.desk = FrontDesk(registers, PASSWORDS, lambda: self.now)

    def tries(self, password: str, address: str, name: str = "anna") -> str:
        """Say in a word what comes of an attempt."""
        try:
            self.desk.sign_in(name, password, address)
        except LoginRefusedError:
            return "refused"
        except TooManyLoginsError as error:
            return f"wait {error.wait_s}"
        return "in"


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | PostgresUrl:
    return new_place(request.param, tmp_path)


@pytest.fixture
def door(place: Path | PostgresUrl) -> Iterator[Door]:
    door = Door(place)
    door.people.add("anna", Role.OPERATOR, KEPT, NOW)
    yield door
    door.database.close()


def test_a_password_is_kept_as_a_slow_key_and_the_same_one_never_twice_alike() -> None:
    real = Passwords()
    kept = real.kept(RIGHT)
    assert kept.startswith("scrypt$15$8$3$")
    assert real.is_right(kept, RIGHT)
    assert not real.is_right(kept, RIGHT + " ")
    assert not real.is_right(None, RIGHT)
    assert real.kept(RIGHT) != kept
    assert real.is_right(KEPT, RIGHT)


def test_the_same_characters_are_the_same_password_from_any_keyboard() -> None:
    assert PASSWORDS.is_right(PASSWORDS.kept("Caf\u00e9 \ufb01eldfare"), "Cafe\u0301 fieldfare")


@pytest.mark.parametrize("password", ["", "x" * (MIN_CHARS - 1), "e\u0301" * (MIN_CHARS - 1), "x" * 1025, "\ufdfa" * 400])
def test_a_password_that_is_too_short_or_endless_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(PasswordError) as refused:
        PASSWORDS.kept(password)
    assert password == "" or password not in str(refused.value)


def test_the_right_password_opens_and_a_wrong_one_or_an_unknown_name_are_not_told_apart(door: Door) -> None:
    key = door.desk.sign_in("anna", RIGHT, "192.0.2.1")
    assert door.desk.caller_of(key) == Caller("anna", Role.OPERATOR, "user")
    messages = []
    for name in ("anna", "bob", RIGHT, ""):
        with pytest.raises(LoginRefusedError) as refused:
            door.desk.sign_in(name, "another password", "192.0.2.1")
        messages.append(str(refused.value))
    assert len(set(messages)) == 1


def test_logins_and_failed_logins_are_told_and_a_password_in_the_wrong_field_is_kept_nowhere(door: Door) -> None:
    key = door.desk.sign_in("anna", RIGHT, "192.0.2.1")
    door.tries("another password", "192.0.2.2")
    door.tries("", "192.0.2.3", name=RIGHT)
    door.desk.sign_out(key, "192.0.2.1")

    assert [(entry.what, entry.who, entry.role, entry.source, entry.outcome) for entry in door.log.page(None, 10)] == [
        ("login.password", "user anna", "operator", "dashboard 192.0.2.1", "done"),
        ("login.password", "user anna", "", "dashboard 192.0.2.2", "refused"),
        ("login.password", "nobody", "", "dashboard 192.0.2.3", "refused"),
        ("logout", "user anna", "operator", "dashboard 192.0.2.1", "done"),
    ]
    with door.database.reading() as connection:
        dump = repr([connection.execute(table.select()).all() for table in metadata.sorted_tables])
    assert "anna" in dump
    assert RIGHT not in dump
    assert key not in dump


def test_an_address_that_guesses_waits_twice_as_long_each_time_and_the_right_password_does_not_help(door: Door) -> None:
    assert [door.tries("wrong", "192.0.2.1", f"name-{number}") for number in range(FREE_FAILURES)] == ["refused"] * FREE_FAILURES
    for wait_s in (1, 2, 4):
        assert door.tries(RIGHT, "192.0.2.1") == f"wait {wait_s}"
        assert door.tries(RIGHT, "192.0.2.9") == "in"
        door.now += timedelta(seconds=wait_s)
        assert door.tries("wrong", "192.0.2.1", "nobody") == "refused"
    # Nothing is told of attempts that did not count
    assert len([entry for entry in door.log.page(None, 99) if entry.outcome == "refused"]) == FREE_FAILURES + 3


def test_a_name_that_is_guessed_from_everywhere_waits_a_minute_at_most(door: Door) -> None:
    address = 0
    while wait_after("name", address) < LONGEST["name"]:
        address += 1
        assert door.tries("wrong", f"192.0.2.{address}") == "refused"
        door.now += wait_after("name", address)
    address += 1
    assert door.tries("wrong", f"192.0.2.{address}") == "refused"
    assert door.tries(RIGHT, "198.51.100.1") == "wait 60"
    door.now += LONGEST["name"]
    assert door.tries(RIGHT, "198.51.100.1") == "in"
    # And then it is free again
    assert door.tries("wrong", "198.51.100.2") == "refused"
    assert door.tries(RIGHT, "198.51.100.2") == "in"


def test_failures_are_counted_over_a_restart_and_by_all_servers_and_forgotten_in_time(door: Door, place: Path | PostgresUrl) -> None:
    for _ in range(FREE_FAILURES):
        door.tries("wrong", "192.0.2.1", "nobody")
    again = Door(place)
    assert again.tries(RIGHT, "192.0.2.1") == "wait 1"
    again.now += timedelta(seconds=1) + FORGET_AFTER
    assert [again.tries("wrong", "192.0.2.1", "nobody") for _ in range(FREE_FAILURES)] == ["refused"] * FREE_FAILURES
    again.database.close()


def test_many_attempts_at_once_all_count(door: Door) -> None:
    # Given attempts that have all begun before any of them has failed
    for _ in range(FREE_FAILURES):
        door.failures.begin("anna", "192.0.2.1", NOW)
    with pytest.raises(TooManyLoginsError):
        door.failures.begin("anna", "192.0.2.1", NOW)


def test_a_name_is_given_once_and_only_known_people_are_changed(door: Door) -> None:
    with pytest.raises(PersonExistsError):
        door.people.add("anna", Role.ADMIN, KEPT, NOW)
    with pytest.raises(UnknownPersonError):
        door.people.set_role("bob", Role.ADMIN, NOW)
    with pytest.raises(UnknownPersonError):
        door.people.remove("bob")
    door.people.remove("anna")
    assert door.people.all() == ()
    assert door.tries(RIGHT, "192.0.2.1") == "refused"


def test_a_person_who_knows_the_old_password_takes_another_and_is_signed_out_elsewhere(door: Door) -> None:
    here, elsewhere = (door.desk.sign_in("anna", RIGHT, address) for address in ("192.0.2.1", "192.0.2.2"))
    key = door.desk.change_password(here, RIGHT, "another horse battery", "192.0.2.1")
    assert door.desk.caller_of(key) == Caller("anna", Role.OPERATOR, "user")
    assert (door.desk.caller_of(here), door.desk.caller_of(elsewhere)) == (None, None)
    assert (door.tries(RIGHT, "192.0.2.3"), door.tries("another horse battery", "192.0.2.3")) == ("refused", "in")
    [row] = door.log.page(None, 10, what="users.password.set")
    assert (row.who, row.subject, row.outcome, row.source, row.detail) == ("user anna", "anna", "done", "dashboard 192.0.2.1", "")


def test_an_open_page_is_no_place_to_guess_the_old_password(door: Door) -> None:
    key = door.desk.sign_in("anna", RIGHT, "192.0.2.1")
    for _ in range(FREE_FAILURES):
        with pytest.raises(LoginRefusedError):
            door.desk.change_password(key, "is it this one?", "another horse battery", "192.0.2.1")
    with pytest.raises(TooManyLoginsError):
        door.desk.change_password(key, RIGHT, "another horse battery", "192.0.2.1")
    assert [row.outcome for row in door.log.page(None, 10, what="users.password.set")] == ["refused"] * FREE_FAILURES
    assert door.desk.caller_of(key) is not None


def test_a_new_password_that_is_none_and_a_session_without_a_password_change_nothing(door: Door) -> None:
    key = door.desk.sign_in("anna", RIGHT, "192.0.2.1")
    with pytest.raises(PasswordError, match="at least 12 characters"):
        door.desk.change_password(key, RIGHT, "short", "192.0.2.1")
    # A name that the identity provider vouches for may be a person's here as well
    other = door.desk.admit(Caller("anna", Role.ADMIN, "openid"), "login.openid", "192.0.2.1")
    for stranger in (other, "no key at all"):
        with pytest.raises(LoginRefusedError):
            door.desk.change_password(stranger, RIGHT, "another horse battery", "192.0.2.1")
    assert door.tries(RIGHT, "192.0.2.3") == "in"
