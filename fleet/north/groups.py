"""The API's part in groups and labels; who changes a group may say which version he saw."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response

from fleet.north.ports import Services
from fleet.requests import GroupName, LabelChange, NewGroup
from fleet.views import GroupDetail, GroupView, LabelledView

Group = Annotated[GroupName, Path()]
# RFC 9110: the version in quotes as it came in ETag; `none` where there was no such group.
Seen = Annotated[str | None, Header(alias="If-Match", pattern=r'^"([0-9a-f]{16}|none)"$')]


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    desk = services.groups

    @routes.get("/groups")
    def groups() -> tuple[GroupView, ...]:
        return desk.groups(services.now())

    @routes.get("/groups/{group}")
    def group(group: Group, response: Response) -> GroupDetail:
        return _tagged(desk.group(group, services.now()), response)

    @routes.put("/groups/{group}")
    def save_group(group: Group, new: NewGroup, response: Response, seen: Seen = None) -> GroupDetail:
        return _tagged(desk.save(group, new, _version(seen), services.now()), response)

    @routes.delete("/groups/{group}", status_code=204)
    def remove_group(group: Group, seen: Seen = None) -> None:
        desk.remove(group, _version(seen))

    @routes.post("/device-labels")
    def relabel(change: LabelChange) -> LabelledView:
        return desk.relabel(change)

    return routes


def _version(seen: str | None) -> str | None:
    return None if seen is None else seen.strip('"')


def _tagged(group: GroupDetail, response: Response) -> GroupDetail:
    response.headers["ETag"] = f'"{group.version}"'
    return group
