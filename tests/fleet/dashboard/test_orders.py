"""The one way by which pages change anything asks who and which role, every time."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from fleet.core.roles import NEEDED, Caller, Role
from fleet.dashboard.bulk import GROUPS, LABELS
from fleet.dashboard.device_commands import GIVE, LIST, SEE
from fleet.dashboard.orders import Orders, obstacle
from fleet.dashboard.rollout_acts import ACTS
from fleet.dashboard.rollout_form import PREVIEW, START
from fleet.dashboard.session import Login
from fleet.errors.dashboard import SignedOutError
from fleet.errors.enrolment import ForbiddenError
from tests.sim.fleet_desks import PlayedServices
from tests.sim.fleet_reader import MovingFleet

LOGIN = Login("key")
ROUTE = ("POST", "/rollouts")


def given(caller: Caller | None, needed: Role = Role.VIEWER) -> str:
    async def give() -> str:
        orders = Orders(PlayedServices(MovingFleet(1)), lambda _login: caller)
        return await orders.give(LOGIN, ROUTE, told, needed)

    def told(who: Caller, _now: datetime) -> str:
        return f"done for {who.name}"

    return asyncio.run(give())


def test_an_order_is_carried_out_in_the_name_of_who_gave_it() -> None:
    assert given(Caller("anna", Role.OPERATOR)) == "done for anna"


def test_who_has_too_little_a_role_or_none_any_more_is_refused_whatever_the_page_showed() -> None:
    with pytest.raises(ForbiddenError, match="role operator, found role viewer"):
        given(Caller("anna", Role.VIEWER))
    with pytest.raises(ForbiddenError, match="role admin, found role operator"):
        given(Caller("anna", Role.OPERATOR), needed=Role.ADMIN)
    with pytest.raises(SignedOutError):
        given(None)


def test_every_order_of_a_page_is_a_route_of_the_api_with_a_role() -> None:
    routes = [GIVE, LIST, SEE, GROUPS, LABELS, PREVIEW, START, *(act.route for act in ACTS.values())]
    assert [route for route in routes if route not in NEEDED] == []
    assert obstacle(Caller("olga", Role.OPERATOR), ("POST", "/nowhere")).startswith("This takes the role nobody has")
