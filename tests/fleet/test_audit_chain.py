"""The audit log as the database keeps it: one chain whoever writes, kept with the act, and broken by whoever changes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.acting import Acting, acting
from fleet.core.audit import MAX_DETAIL_CHARS, Anchor, Chain, LinkedEntry, link, told_of, what_of
from fleet.core.devices import Device
from fleet.core.roles import Role
from fleet.errors.audit import AnchorError, BrokenChainError, CutOffError
from fleet.errors.enrolment import TokenExistsError
from fleet.errors.store import StoreError
from fleet.housekeeping import RetentionRuns
from fleet.store.access import AccessStore
from fleet.store.audit import AuditStore
from fleet.store.database import Database
from fleet.store.place import PostgresUrl
from fleet.store.releases import ReleaseStore
from fleet.store.retention import Retention
from fleet.store.uplinks import UplinkStore
from tests.fleet.bundles import make_bundle
from tests.fleet.databases import KINDS, new_place
from tests.fleet.test_fleet_store import admit, heard, window

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | PostgresUrl:
    return new_place(request.param, tmp_path)


@pytest.fixture
def database(place: Path | PostgresUrl) -> Iterator[Database]:
    opened = Database(place)
    yield opened
    opened.close()


def act(number: int, who: str = "user anna", what: str = "rollouts.pause") -> Acting:
    """Return the act of a minute."""
    return Acting(NOW + timedelta(minutes=number), "api 192.0.2.7", what, who, "operator", f"rollout {number}", request=f"{number:016x}")


def checked(entries: tuple[LinkedEntry, ...], anchor: Anchor | None = None) -> Anchor:
    """Follow a chain to its end."""
    chain = Chain(anchor)
    for entry in entries:
        chain.follow(entry)
    return chain.finish()


def test_an_act_and_its_row_are_kept_together_or_not_at_all(database: Database) -> None:
    # Given an act that makes a token
    access, log = AccessStore(database), AuditStore(database)
    with acting(act(1)):
        access.add_token("secret", "ci", Role.VIEWER, None, NOW)
    assert [(entry.who, entry.what, entry.subject, entry.outcome) for entry in log.page(None, 10)] == [
        ("user anna", "rollouts.pause", "rollout 1", "done")
    ]
    # When the same fails, then it leaves neither token nor row
    failing = act(2)
    with pytest.raises(TokenExistsError), acting(failing):
        access.add_token("another", "ci", Role.VIEWER, None, NOW)
    assert len(log.page(None, 10)) == 1
    # And whoever was asked for it can still tell
    failing.outcome = "refused"
    log.add(failing)
    assert [entry.outcome for entry in log.page(None, 10)] == ["done", "refused"]


def test_a_release_that_is_added_is_named_in_its_row(database: Database, tmp_path: Path) -> None:
    # Given a signed list, of which the request's body tells no name
    manifest = make_bundle(tmp_path, release=3)
    with acting(Acting(NOW, "api 192.0.2.7", "releases.create", "user anna", "operator", body=bytearray(b'{"targets": "..."}'))):
        ReleaseStore(database).add(manifest, NOW)
    assert [(entry.what, entry.subject) for entry in AuditStore(database).page(None, 10)] == [("releases.create", "digits 3")]


def test_an_act_of_several_changes_is_one_row_and_what_nobody_does_is_none(database: Database) -> None:
    access, log = AccessStore(database), AuditStore(database)
    several = act(1)
    with acting(several):
        access.add_token("a", "a", Role.VIEWER, None, NOW)
        access.add_token("b", "b", Role.VIEWER, None, NOW)
    log.add(several)
    access.add_token("c", "c", Role.VIEWER, None, NOW)
    with acting(act(2, who="")):
        access.add_token("d", "d", Role.VIEWER, None, NOW)
    assert len(log.page(None, 10)) == 1


def test_servers_and_threads_that_write_at_once_make_one_chain(place: Path | PostgresUrl, database: Database) -> None:
    # Given two servers on one database; of a file there is one server, with several threads
    second = Database(place) if isinstance(place, PostgresUrl) else database

    def write(where: Database, first: int) -> None:
        log, access = AuditStore(where), AccessStore(where)
        for number in range(first, first + 15):
            log.add(act(number))
            with acting(act(number + 1000)):
                access.add_token(f"secret {number}", f"token-{number}", Role.VIEWER, None, NOW)

    writers = [
        threading.Thread(target=write, args=(where, 100 * index)) for index, where in enumerate((database, second, database, second))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    # Then every act has its row, and all are one chain
    entries = AuditStore(database).page(None, 1000)
    assert checked(entries).number == 120
    assert len({entry.request for entry in entries}) == 120
    if second is not database:
        second.close()


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET who = 'user eve' WHERE number = 2", "DELETE FROM audit WHERE number = 2", "DELETE FROM audit"]
)
def test_the_database_refuses_to_change_or_delete_a_row(database: Database, statement: str) -> None:
    log = AuditStore(database)
    for number in range(1, 4):
        log.add(act(number))
    with pytest.raises(StoreError, match="only ever added to"), database.writing() as connection:
        connection.exec_driver_sql(statement)
    assert checked(log.page(None, 10)).number == 3


def forge(database: Database, *statements: str) -> None:
    """Do what somebody can who has the database's own rights."""
    with database.writing() as connection:
        names = ("audit_stays",) if connection.dialect.name == "postgresql" else ("audit_stays_update", "audit_stays_delete")
        for name in names:
            connection.exec_driver_sql(f"DROP TRIGGER {name}" + (" ON audit" if connection.dialect.name == "postgresql" else ""))
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET who = 'user eve' WHERE number = 3", 3),
        ("UPDATE audit SET at = at + 1 WHERE number = 3", 3),
        ("UPDATE audit SET outcome = 'refused' WHERE number = 1", 1),
        ("UPDATE audit SET sha256 = 'no digest' WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("UPDATE audit SET number = 9 WHERE number = 3", 3),
    ],
)
def test_the_first_row_that_somebody_changed_is_named(database: Database, statement: str, broken: int) -> None:
    log = AuditStore(database)
    for number in range(1, 6):
        log.add(act(number))
    forge(database, statement)

    with pytest.raises(BrokenChainError, match=f"^audit row {broken}: ") as found:
        checked(log.page(None, 10))
    assert (found.value.number, found.value.exit_status) == (broken, 1)


def test_a_tail_that_was_cut_off_or_written_anew_is_seen_by_an_anchor_alone(database: Database) -> None:
    # Given a log of which somebody kept the newest digest
    log = AuditStore(database)
    for number in range(1, 6):
        log.add(act(number))
    anchor = checked(log.page(None, 10))
    assert Anchor.parse(f" {anchor}\n") == anchor
    # When its last two rows are cut off, then the rest is a whole chain, which ends before the anchor
    forge(database, "DELETE FROM audit WHERE number > 3")
    assert checked(log.page(None, 10)).number == 3
    with pytest.raises(CutOffError, match=r"^audit row 5: .* ends with row 3"):
        checked(log.page(None, 10), anchor)
    # And when others are written in their place, the anchor's is another
    for number in range(7, 10):
        log.add(act(number))
    assert checked(log.page(None, 10)).number == 6
    with pytest.raises(BrokenChainError, match=r"^audit row 5: expected the anchor's"):
        checked(log.page(None, 10), anchor)


@pytest.mark.parametrize("text", ["", "5", "0:" + "a" * 64, "5:" + "A" * 64, "five:" + "a" * 64, "5:" + "a" * 63])
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(AnchorError):
        Anchor.parse(text)


def test_pages_go_either_way_and_find_people_acts_and_times(database: Database) -> None:
    log = AuditStore(database)
    for number in range(1, 8):
        log.add(act(number, "token anna" if number % 2 else "user anna", "rollouts.pause" if number < 5 else "rolloutsx"))

    def numbers(entries: tuple[LinkedEntry, ...]) -> list[int]:
        return [entry.number for entry in entries]

    assert numbers(log.page(None, 3)) == [1, 2, 3]
    assert numbers(log.page(3, 3)) == [4, 5, 6]
    assert numbers(log.page(None, 3, is_newest_first=True)) == [7, 6, 5]
    assert numbers(log.page(5, 3, is_newest_first=True)) == [4, 3, 2]
    assert numbers(log.page(None, 9, who="anna")) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(log.page(None, 9, who="user anna")) == [2, 4, 6]
    assert numbers(log.page(None, 9, what="rollouts")) == [1, 2, 3, 4]
    assert numbers(log.page(None, 9, since=NOW + timedelta(minutes=6))) == [6, 7]


TEXTS = st.text(max_size=40) | st.sampled_from(["\0", "\ud800", "a" * 500, "ü"])


@given(
    who=TEXTS,
    subject=TEXTS,
    source=TEXTS,
    body=st.binary(max_size=60) | TEXTS.map(lambda text: b'{"name": "%s"}' % text.encode(errors="ignore")),
)
def test_whatever_is_told_has_one_form_that_comes_back(who: str, subject: str, source: str, body: bytes) -> None:
    entry = Acting(NOW, source, "what", who, "", subject, body=bytearray(body)).entry(1)
    linked = LinkedEntry(**entry.model_dump(), sha256=link("0" * 64, entry))

    again = LinkedEntry.model_validate_json(linked.model_dump_json())

    assert checked((again,)).number == 1
    assert "\0" not in entry.who + entry.subject + entry.source


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"name": "anna", "role": "admin", "password": "correct horse battery"}', ("anna", '{"name":"anna","role":"admin"}')),
        (b'{"secret": "s", "csr": "c", "device": "pi-1"}', ("pi-1", '{"device":"pi-1"}')),
        (b'{"targets": "long"}', ("", "")),
        (b"[1]", ("", "")),
        (b"no json", ("", "")),
        (b'{"query": NaN}', ("", "")),
        (b'{"name": "\\ud800"}', ("", "")),
    ],
)
def test_of_a_request_only_harmless_parts_are_told(body: bytes, told: tuple[str, str]) -> None:
    assert told_of(body) == told


def test_what_is_long_is_told_by_its_size() -> None:
    devices = {f"pi-{number}": "0" * 16 for number in range(1000)}
    _, detail = told_of(b'{"put": {"site": "lyon"}, "devices": %s}' % str(devices).replace("'", '"').encode())
    assert detail == '{"devices":"1000 long","put":{"site":"lyon"}}'
    assert len(told_of(b'{"query": "%s"}' % (b"x" * 5000))[1]) <= MAX_DETAIL_CHARS


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", "/rollouts", "rollouts.create"),
        ("POST", "/rollouts/{rollout}/pause", "rollouts.pause"),
        ("POST", "/devices/{device}/revocation", "devices.revocation"),
        ("PUT", "/groups/{group}", "groups.set"),
        ("DELETE", "/tokens/{name}", "tokens.remove"),
        ("PUT", "/users/{name}/password", "users.password.set"),
        ("POST", "/online-keys/{role}", "online-keys.create"),
    ],
)
def test_an_act_is_named_by_its_route(method: str, path: str, what: str) -> None:
    assert what_of(method, path) == what


def test_runs_of_the_retention_are_told_when_they_begin_and_then_once_an_hour(database: Database) -> None:
    # Given a device whose telemetry is old
    admit(database, Device("pi-1", "rpi5", {}, NOW))
    uplinks, log = UplinkStore(database, timedelta(days=365)), AuditStore(database)
    runs, later = RetentionRuns(Retention(database), log), NOW + timedelta(days=400)
    for number, minutes in ((1, 0), (2, 10), (3, 59), (4, 61)):
        uplinks.save([heard(window(number))])
        runs.turn(later + timedelta(minutes=minutes))
    runs.turn(later + timedelta(minutes=200))

    assert [(row.who, row.what, row.at) for row in log.page(None, 10)] == [
        ("server", "retention.run", later),
        ("server", "retention.run", later + timedelta(minutes=61)),
    ]
    # Each window became a sum of five minutes, and that one of an hour
    assert [row.detail for row in log.page(None, 10)] == ['{"changes":2}', '{"changes":6}']
