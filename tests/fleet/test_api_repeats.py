"""Requests with an idempotency key: carried out once, however often they come; and the secrets in their answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest

from fleet.core.repeats import KeptAnswer
from fleet.errors.repeats import KeyBusyError, KeyReusedError, TooManyKeysError
from fleet.errors.store import UnsealableError
from fleet.sealing import seal, unseal
from fleet.store.database import Database
from fleet.store.repeats import MAX_KEYS_OF_OWNER, MAX_SEALED_BYTES, RETENTION, RepeatStore
from fleet.store.tables import repeats
from tests.fleet.databases import KINDS, new_place
from tests.fleet.server import FleetProcess

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ANSWER = KeptAnswer(201, "", b"sealed")


@pytest.fixture
def api(fleet: FleetProcess) -> Iterator[httpx.Client]:
    """A client of a running server."""
    with fleet.api as client:
        yield client


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RepeatStore]:
    """A store on each database."""
    database = Database(new_place(request.param, tmp_path))
    yield RepeatStore(database)
    database.close()


def made(api: httpx.Client, name: str, key: str) -> httpx.Response:
    return api.post("tokens", json={"name": name, "role": "viewer"}, headers={"Idempotency-Key": key})


def test_the_same_request_has_the_same_answer_and_makes_nothing_twice(api: httpx.Client) -> None:
    first, second = made(api, "anna", "one"), made(api, "anna", "one")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert [answer.headers.get("idempotent-replayed") for answer in (first, second)] == [None, "true"]
    assert made(api, "anna", "another").status_code == 409


def test_another_request_under_the_same_key_is_refused(api: httpx.Client) -> None:
    made(api, "bea", "two")

    other = made(api, "carl", "two")

    assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
    assert "expected the same request as before" in other.json()["detail"]


def test_of_many_at_the_same_time_one_is_carried_out(fleet: FleetProcess) -> None:
    with fleet.api as api, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: made(api, "dora", "three"), range(8)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1


def test_a_request_that_was_refused_leaves_its_key_free(api: httpx.Client) -> None:
    assert api.post("tokens", json={"name": "emil", "role": "king"}, headers={"Idempotency-Key": "four"}).status_code == 422

    assert made(api, "emil", "four").status_code == 201


def test_a_key_belongs_to_the_token_that_names_it(fleet: FleetProcess, api: httpx.Client) -> None:
    other = made(api, "frida", "five").json()["token"]
    headers = {"Authorization": f"Bearer {other}", "Idempotency-Key": "five"}
    body = {"name": "frida", "role": "viewer"}

    assert httpx.post(f"{fleet.connection['url']}/api/v1/tokens", json=body, headers=headers, timeout=60).status_code == 403
    api.delete("tokens/frida").raise_for_status()
    assert httpx.post(f"{fleet.connection['url']}/api/v1/tokens", json=body, headers=headers, timeout=60).status_code == 401


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
def test_a_key_that_cannot_be_kept_is_refused(api: httpx.Client, key: str) -> None:
    assert made(api, "gone", key).status_code == 422


def test_no_secret_of_an_answer_lies_in_the_database_in_clear(fleet: FleetProcess, api: httpx.Client) -> None:
    secret = made(api, "greta", "six").json()["token"]

    with sqlite3.connect(fleet.folder / "fleet.db") as connection:
        dump = b"".join(bytes(row[0]) for row in connection.execute("SELECT sealed FROM repeats WHERE sealed IS NOT NULL"))
    connection.close()
    assert len(dump) > 100
    assert secret.encode() not in dump


def test_what_is_sealed_opens_with_its_token_and_about_its_request_alone() -> None:
    sealed = seal("token", "request 1", b"answer")

    assert unseal("token", "request 1", sealed) == b"answer"
    for token, about, found in (("other", "request 1", sealed), ("token", "request 2", sealed), ("token", "request 1", sealed[:-1])):
        with pytest.raises(UnsealableError):
            unseal(token, about, found)


def test_a_key_is_busy_until_it_is_answered_and_forgotten_after_a_day(store: RepeatStore) -> None:
    assert store.claim("anna", "one", "r1", NOW) is None
    with pytest.raises(KeyBusyError, match="under way"):
        store.claim("anna", "one", "r1", NOW)
    store.keep("anna", "one", ANSWER)

    assert store.claim("anna", "one", "r1", NOW) == ANSWER
    with pytest.raises(KeyReusedError):
        store.claim("anna", "one", "r2", NOW)
    assert store.claim("bea", "one", "r2", NOW) is None
    assert store.claim("anna", "one", "r2", NOW + RETENTION + timedelta(seconds=1)) is None


def test_an_answer_that_is_too_large_is_not_carried_out_again_either(store: RepeatStore) -> None:
    store.claim("anna", "one", "r1", NOW)
    store.keep("anna", "one", KeptAnswer(201, "", b"x" * (MAX_SEALED_BYTES + 1)))

    with pytest.raises(KeyBusyError, match="status 201 and an answer too large"):
        store.claim("anna", "one", "r1", NOW)


def test_a_token_has_so_many_keys_a_day(tmp_path: Path) -> None:
    database = Database(tmp_path / "fleet.db")
    with database.writing() as connection:
        rows = [{"owner": "anna", "key": str(n), "request_sha256": "r", "at": NOW} for n in range(MAX_KEYS_OF_OWNER)]
        connection.execute(repeats.insert(), rows)

    with pytest.raises(TooManyKeysError):
        RepeatStore(database).claim("anna", "one more", "r", NOW)
    assert RepeatStore(database).claim("bea", "one more", "r", NOW) is None
    database.close()
