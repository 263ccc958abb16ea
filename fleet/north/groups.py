"""The API's part in groups and labels; who changes a group may say which version he saw."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages
from fleet.north.ports import Services
from fleet.north.versions import Seen, seen_version, tag
from fleet.requests import GroupName, LabelChange, NewGroup
from fleet.views import GroupDetail, GroupView, LabelledView, Page

Group = Annotated[GroupName, Path()]
GROUPS = Pages("groups", str)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["groups"])
    desk = services.groups

    @routes.get("/groups")
    def list_groups(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[GroupView]:
        """List groups by name."""
        last = GROUPS.key(cursor)
        return GROUPS.page(desk.groups(limit, "" if last is None else str(last[0]), services.now()))

    @routes.get("/groups/{group}")
    def get_group(group: Group, response: Response) -> GroupDetail:
        """Return a group with its devices; its ETag begins with the version that a change may name in If-Match."""
        return _tagged(desk.group(group, services.now()), response)

    @routes.put("/groups/{group}")
    def save_group(group: Group, new: NewGroup, response: Response, seen: Seen = None) -> GroupDetail:
        """Keep a group, in place of one of that name; `If-Match: "none"` stands for a new one."""
        return _tagged(desk.save(group, new, seen_version(seen), services.now()), response)

    @routes.delete("/groups/{group}", status_code=204)
    def remove_group(group: Group, seen: Seen = None) -> None:
        """Forget a group; its devices stay as they are."""
        desk.remove(group, seen_version(seen))

    @routes.post("/device-labels")
    def change_labels(change: LabelChange) -> LabelledView:
        """Change labels of devices, of all or none; each may be named with the version of its labels that was seen."""
        return desk.relabel(change)

    return routes


def _tagged(group: GroupDetail, response: Response) -> GroupDetail:
    tag(response, group.version)
    return group
