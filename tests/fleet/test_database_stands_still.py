"""A PostgreSQL server that is stopped where it is, as on a machine that swaps or is paused: no request waits for it for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from fleet.errors.store import DatabaseAwayError
from fleet.store.database import Database
from fleet.store.pulse import PATIENCE_S
from tests.fleet.server import FleetProcess, wait_for
from tests.live.postgres import WHY_NOT, Postgres

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
# What hangs until the system gives up hangs for many minutes.
BOUND_S = 60.0
# More than the server has threads, and its pool connections.
REQUESTS = 48


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that tests may stop: nobody else uses it."""
    with Postgres() as running:
        yield running


@contextmanager
def paused(server: Postgres) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.go_on()


def test_every_request_gets_its_answer_while_the_database_stands_still_and_the_server_recovers_by_itself(
    tmp_path: Path, server: Postgres
) -> None:
    name = server.new_database().shown.rpartition("/")[2]
    with FleetProcess(tmp_path / "home", None, "--database", server.url(name)) as fleet:
        headers = {"Authorization": f"Bearer {fleet.connection['token']}"}

        def ask(path: str) -> httpx.Response:
            return httpx.get(f"{fleet.connection['url']}{path}", headers=headers, timeout=BOUND_S)

        assert ask("/api/v1/devices").status_code == httpx.codes.OK
        with paused(server), ThreadPoolExecutor(REQUESTS) as people:
            answers = list(people.map(ask, ["/api/v1/devices", "/api/v1/releases", "/api/v1/audit"] * (REQUESTS // 3)))
            assert {answer.status_code for answer in answers} == {httpx.codes.SERVICE_UNAVAILABLE}
            assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
            assert all("expected a working database, found: " in answer.json()["detail"] for answer in answers)
            assert ask("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert ask("/healthz").status_code == httpx.codes.OK
        wait_for(lambda: ask("/api/v1/devices").status_code == httpx.codes.OK)
        wait_for(lambda: ask("/readyz").status_code == httpx.codes.OK)


def test_a_statement_under_way_ends_when_the_server_stands_still_and_the_next_one_goes_well(server: Postgres) -> None:
    database = Database(server.new_database())
    errors: list[Exception] = []
    begun = threading.Event()

    def wait_long() -> None:
        try:
            with database.reading() as connection:
                begun.set()
                connection.execute(text("SELECT pg_sleep(50)"))
        except DatabaseAwayError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait_long)
    waiting.start()
    assert begun.wait(BOUND_S)
    with paused(server):
        waiting.join(BOUND_S)
        assert "stands still" in str(errors[0])
        with pytest.raises(DatabaseAwayError), database.writing() as connection:
            connection.execute(text("SELECT 1"))

    def goes_well() -> bool:
        with suppress(DatabaseAwayError), database.writing() as connection:
            return bool(connection.execute(text("SELECT 1")).scalar_one() == 1)
        return False

    wait_for(goes_well)
    database.close()


def test_a_long_statement_of_a_server_that_works_is_waited_for(server: Postgres) -> None:
    database = Database(server.new_database())
    with database.reading() as connection:
        assert connection.execute(text(f"SELECT pg_sleep({2 * PATIENCE_S}) IS NULL")).scalar_one() is False
    database.close()
