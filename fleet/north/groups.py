"""The API's part in groups and labels; who changes a group may say which version he saw."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages
from fleet.north.ports import Services
from fleet.north.versions import Seen, seen_version, tag
from fleet.requests.targeting import GroupName, LabelChange, NewGroup
from fleet.views.pages import Page
from fleet.views.targeting import GroupMember, GroupView, LabelledView

Group = Annotated[GroupName, Path()]
GROUPS = Pages("groups", str)
MEMBERS = Pages("group devices", str)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["groups"])
    desk = services.groups

    @routes.get("/groups")
    def list_groups(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[GroupView]:
        """List groups by name."""
        return GROUPS.page(desk.groups(limit, GROUPS.name(cursor), services.now()))

    @routes.get("/groups/{group}")
    def get_group(group: Group, response: Response) -> GroupView:
        """Return a group; its ETag begins with the version that a change may name in If-Match."""
        return _tagged(desk.group(group, services.now()), response)

    @routes.get("/groups/{group}/devices")
    def list_group_devices(group: Group, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[GroupMember]:
        """List who is in a group now, by id."""
        return MEMBERS.page(desk.members(group, limit, MEMBERS.name(cursor), services.now()))

    @routes.put("/groups/{group}")
    def save_group(group: Group, new: NewGroup, response: Response, seen: Seen = None) -> GroupView:
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


def _tagged(group: GroupView, response: Response) -> GroupView:
    tag(response, group.version)
    return group
