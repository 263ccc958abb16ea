"""The one way by which a page changes anything: it asks who is at the browser, whether that role may, acts, and tells the audit log."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel

from contracts.errors import FieldfareError
from fleet.acting import Acting, acting
from fleet.core.audit import Outcome, what_of
from fleet.core.roles import NEEDED, Caller, Role, may
from fleet.dashboard.ports import AuditLog, Services
from fleet.dashboard.session import Login, Visitor
from fleet.errors.dashboard import SignedOutError
from fleet.errors.enrolment import ForbiddenError
from fleet.errors.store import StoreError

Answer = TypeVar("Answer")
Act = Callable[[Caller, datetime], Answer]
# Method and path of the API's route that does the same: roles are decided in one place.
Route = tuple[str, str]
# Exit status of the errors of which nobody who asked is at fault.
OUT_OF_REACH = 3


@dataclass(frozen=True)
class Order:
    """What a page asks for, in the API's words."""

    route: Route
    # What it is about, where the route's path names that; and what else is asked, as the route's body would say it.
    subject: str = ""
    asked: BaseModel | None = None
    # Adds to the route's own role.
    needed: Role = Role.VIEWER


def may_give(caller: Caller | None, route: Route, needed: Role = Role.VIEWER) -> bool:
    """Say whether somebody may use a route."""
    return caller is not None and may(caller.role, *route) and caller.role >= needed


def obstacle(caller: Caller | None, route: Route, needed: Role = Role.VIEWER) -> str:
    """Say why somebody may not use a route; empty where he may."""
    if caller is None:
        return "Sign in again."
    if may_give(caller, route, needed):
        return ""
    return f"This takes the role {_wanted(route, needed) or 'nobody has'}; yours is {caller.role.word}."


class Orders:
    """Asks anew with every order, so that a role that was taken away is worth nothing in an open page."""

    def __init__(self, services: Services, caller_of: Callable[[Login | None], Caller | None], log: AuditLog) -> None:
        """Give orders to these desks, and tell `log`; `caller_of` says who is at a browser now, and may block."""
        self.services = services
        self.caller_of = caller_of
        self._log = log

    async def give(self, visitor: Visitor, order: Order, act: Act[Answer]) -> Answer:
        """Return what `act` returns; raise SignedOutError, ForbiddenError, or what it raises. Whatever comes of it leaves a row."""
        return await asyncio.to_thread(self._give, visitor, order, act)

    async def weigh(self, visitor: Visitor, order: Order, look: Act[Answer]) -> Answer:
        """Look at what an order would do, or read it, before it is given; only a refusal leaves a row, which is the order's."""
        return await asyncio.to_thread(self._weigh, visitor, order, look)

    async def look(self, visitor: Visitor, order: Order, look: Act[Answer]) -> Answer:
        """Look at what takes an order's role to see; nothing leaves a row."""

        def ask() -> Answer:
            caller = self._caller_of(visitor)
            _check(caller, order)
            return look(caller, self.services.now())

        return await asyncio.to_thread(ask)

    def _give(self, visitor: Visitor, order: Order, act: Act[Answer]) -> Answer:
        caller, now = self._caller_of(visitor), self.services.now()
        row = _row_of(order, caller, visitor, now)
        outcome: Outcome = "failed"  # a defect: what came of it is not known
        try:
            # The change that it leads to is kept together with whose it was.
            with acting(row):
                _check(caller, order)
                answer = act(caller, now)
            outcome = "done"
        except FieldfareError as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._tell(row, outcome)
        return answer

    def _weigh(self, visitor: Visitor, order: Order, look: Act[Answer]) -> Answer:
        caller, now = self._caller_of(visitor), self.services.now()
        try:
            _check(caller, order)
            return look(caller, now)
        except FieldfareError as error:
            self._tell(_row_of(order, caller, visitor, now), outcome_of(error))
            raise

    def _caller_of(self, visitor: Visitor) -> Caller:
        caller = self.caller_of(visitor.login)
        if caller is None:
            raise SignedOutError
        return caller

    def _tell(self, row: Acting, outcome: Outcome) -> None:
        if not row.is_kept:
            row.outcome = outcome
            self._log.add(row)


def outcome_of(error: FieldfareError) -> Outcome:
    """Say whether an order was refused, or failed for no fault of who gave it."""
    return "failed" if isinstance(error, StoreError) or error.exit_status == OUT_OF_REACH else "refused"


def _check(caller: Caller, order: Order) -> None:
    if not may_give(caller, order.route, order.needed):
        raise ForbiddenError(_wanted(order.route, order.needed) or "nobody has", caller.role.word)


def _wanted(route: Route, needed: Role) -> str:
    own = NEEDED.get(route)
    return "" if own is None else max(own, needed).word


def _row_of(order: Order, caller: Caller, visitor: Visitor, now: datetime) -> Acting:
    body = b"" if order.asked is None else order.asked.model_dump_json(exclude_defaults=True).encode()
    return Acting(
        at=now,
        source=f"dashboard {visitor.address}",
        what=what_of(*order.route),
        who=caller.who,
        role=caller.role.word,
        subject=order.subject,
        request=secrets.token_hex(8),
        body=bytearray(body),
    )
