"""The one way by which pages change anything asks who and which role, every time, and tells the audit log what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from contracts.errors import InvalidDocumentError
from fleet.core.audit import LinkedEntry
from fleet.core.roles import NEEDED, Caller, Role
from fleet.dashboard.bulk import GROUPS, LABELS
from fleet.dashboard.device_commands import GIVE, LIST, SEE
from fleet.dashboard.orders import Order, Orders, obstacle
from fleet.dashboard.rollout_acts import ACTS
from fleet.dashboard.rollout_form import PREVIEW, START
from fleet.dashboard.rollout_request import request_of
from fleet.dashboard.session import Login, Visitor
from fleet.errors.dashboard import SignedOutError
from fleet.errors.enrolment import ForbiddenError
from fleet.errors.rollouts import RolloutStateError
from fleet.errors.store import StoreError
from fleet.requests.rollouts import NewRollout
from fleet.store.audit import AuditStore
from fleet.store.database import Database
from tests.sim.fleet_desks import PlayedServices
from tests.sim.fleet_reader import MovingFleet

VISITOR = Visitor(Login("key"), "192.0.2.7")
OLGA = Caller("olga", Role.OPERATOR, "user")
STARTING = Order(START, asked=NewRollout(model="birds", query="all", strategy="canary"))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditStore]:
    database = Database(tmp_path / "fleet.db")
    yield AuditStore(database)
    database.close()


def told(who: Caller, _now: datetime) -> str:
    return f"done for {who.name}"


def refuse(error: Exception) -> Callable[[Caller, datetime], str]:
    def act(_caller: Caller, _now: datetime) -> str:
        raise error

    return act


def give(log: AuditStore, caller: Caller | None, order: Order = STARTING, act: Callable[[Caller, datetime], str] = told) -> str:
    orders = Orders(PlayedServices(MovingFleet(1)), lambda _login: caller, log)
    return asyncio.run(orders.give(VISITOR, order, act))


def rows(log: AuditStore) -> list[LinkedEntry]:
    return list(log.page(None, 10))


def test_an_order_is_carried_out_in_the_name_of_who_gave_it_and_told_as_the_api_would(log: AuditStore) -> None:
    assert give(log, OLGA) == "done for olga"
    [row] = rows(log)
    assert (row.who, row.role, row.source, row.what, row.outcome) == (
        "user olga",
        "operator",
        "dashboard 192.0.2.7",
        "rollouts.create",
        "done",
    )
    assert row.subject == "birds"
    assert json.loads(row.detail) == {"model": "birds", "query": "all", "strategy": "canary"}


def test_who_has_too_little_a_role_or_none_any_more_is_refused_whatever_the_page_showed(log: AuditStore) -> None:
    with pytest.raises(ForbiddenError, match="role operator, found role viewer"):
        give(log, Caller("vera", Role.VIEWER))
    with pytest.raises(ForbiddenError, match="role admin, found role operator"):
        give(log, OLGA, Order(GIVE, "pi-1", needed=Role.ADMIN))
    with pytest.raises(SignedOutError):
        give(log, None)
    # Nobody's orders are not told, as with the API.
    found = [(row.who, row.what, row.subject, row.outcome) for row in rows(log)]
    assert found == [
        ("token vera", "rollouts.create", "birds", "refused"),
        ("user olga", "devices.commands", "pi-1", "refused"),
    ]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RolloutStateError(7, "one that is running, to be paused", "aborted"), "refused"),
        (StoreError("fleet.db", "disk I/O error"), "failed"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_an_order_that_comes_to_nothing_leaves_one_row_that_says_so(log: AuditStore, error: Exception, outcome: str) -> None:
    with pytest.raises(type(error)):
        give(log, OLGA, Order(ACTS["pause"].route, "7"), refuse(error))
    [row] = rows(log)
    assert (row.what, row.subject, row.outcome) == ("rollouts.pause", "7", outcome)


def test_what_cannot_be_read_is_told_as_the_refused_order_and_looking_is_not_told(log: AuditStore) -> None:
    orders = Orders(PlayedServices(MovingFleet(1)), lambda _login: OLGA, log)
    wrong = {"release": "birds 3", "strategy": "phased", "waves": "half"}

    async def go() -> None:
        await orders.look(VISITOR, Order(PREVIEW), told)
        await orders.weigh(VISITOR, Order(START), told)
        for ask in (orders.look, orders.weigh):
            with pytest.raises(InvalidDocumentError, match="waves"):
                await ask(VISITOR, Order(START), lambda *_: request_of(wrong))

    asyncio.run(go())
    [row] = rows(log)
    assert (row.what, row.outcome) == ("rollouts.create", "refused")


def test_every_order_of_a_page_is_a_route_of_the_api_with_a_role() -> None:
    routes = [GIVE, LIST, SEE, GROUPS, LABELS, PREVIEW, START, *(act.route for act in ACTS.values())]
    assert [route for route in routes if route not in NEEDED] == []
    assert obstacle(OLGA, ("POST", "/nowhere")).startswith("This takes the role nobody has")
