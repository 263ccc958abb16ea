"""The API's part in what is asked of devices beside their work: who may ask for what, and what came of it."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import ValidationError

from contracts.codec import invalid_document
from contracts.commands import ORDER, CommandId, Cost, Order
from contracts.names import DeviceId
from fleet.core.commands import new_command
from fleet.core.roles import command_role
from fleet.errors.enrolment import ForbiddenError
from fleet.north.auth import caller_of
from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages
from fleet.north.ports import Services
from fleet.requests.commands import NewCommand
from fleet.views.commands import CommandSummary, CommandView
from fleet.views.pages import Page

Device = Annotated[DeviceId, Path()]
Number = Annotated[CommandId, Path()]
COMMANDS = Pages("commands", int, str)
COSTS = Pages("costs", int, str)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["commands"])
    commands = services.commands

    @routes.post("/devices/{device}/commands", status_code=201)
    def give_command(device: Device, new: NewCommand, request: Request) -> CommandView:
        """Ask a device for something, once; what comes of it is asked for by the command's number."""
        asker = caller_of(request)
        _check_role(request, new.kind)
        number, now = secrets.token_hex(16), services.now()
        commands.add(new_command(number, device, _order(new), asker.name, now, new.life_s))
        return commands.command(device, number, now)

    @routes.get("/devices/{device}/commands")
    def list_commands(device: Device, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[CommandSummary]:
        """List what was asked of a device, newest first."""
        return COMMANDS.page(commands.commands(device, services.now(), limit, COMMANDS.key(cursor)))

    @routes.get("/devices/{device}/commands/{command}")
    def get_command(device: Device, command: Number, request: Request) -> CommandView:
        """Return a command and what it brought."""
        found = commands.command(device, command, services.now())
        _check_role(request, found.order.kind)
        return found

    @routes.get("/costs")
    def list_costs(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[Cost]:
        """List what benchmarks found on devices, newest first; a table of all is what docs/schemas/costs.schema.json describes."""
        return COSTS.page(commands.costs(limit, COSTS.key(cursor)))

    return routes


def _check_role(request: Request, kind: str) -> None:
    """Raise ForbiddenError when the caller may neither ask for this nor see what it brought."""
    role, needed = caller_of(request).role, command_role(kind)
    if role < needed:
        raise ForbiddenError(needed.word, role.word)


def _order(new: NewCommand) -> Order:
    try:
        return ORDER.validate_python({**new.arguments, "kind": new.kind})
    except ValidationError as error:
        raise invalid_document("arguments", error) from error
