"""`fieldfare group`: names sets of devices, for queries such as `group = canaries`."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import print_json, print_table
from fleet.cli.pages import every
from fleet.requests.targeting import NewGroup
from fleet.views.targeting import GroupDetail, GroupMember, GroupView

app = typer.Typer(name="group", no_args_is_help=True, help="Name sets of devices, for queries.")

Name = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]


@app.command("list")
def list_groups(folder: Folder = None, as_json: AsJson = False) -> None:
    """List the groups."""
    with connected(folder) as api:
        groups = every(api, "groups", GroupView)
    if as_json:
        print_json(groups)
        return
    rows = [(group.name, str(group.devices), group.query or "a fixed list") for group in groups]
    print_table(("GROUP", "DEVICES", "WHO"), rows, empty="no groups yet; save one with: fieldfare group set NAME --where QUERY")


@app.command()
def show(name: Name, folder: Folder = None, as_json: AsJson = False) -> None:
    """Show a group, and who is in it now."""
    with connected(folder) as api:
        _print(_whole(api, api.get(f"groups/{name}", GroupView)), as_json)


@app.command("set")
def set_group(
    name: Name,
    where: Annotated[str | None, typer.Option("--where", metavar="QUERY", help="Whoever this means, whenever it is asked.")] = None,
    device: Annotated[list[str] | None, typer.Option("--device", metavar="ID", help="A fixed list; may be repeated.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Save a group, in place of one of that name. Rollouts that began with it keep their lists."""
    with connected(folder) as api:
        new = request(NewGroup, query=where, devices=tuple(device) if device else None)
        _print(_whole(api, api.put(f"groups/{name}", new, GroupView)), as_json)


@app.command()
def remove(name: Name, folder: Folder = None) -> None:
    """Forget a group; its devices stay as they are."""
    with connected(folder) as api:
        api.order("DELETE", f"groups/{name}")


def _whole(api: ApiClient, group: GroupView) -> GroupDetail:
    members = every(api, f"groups/{group.name}/devices", GroupMember)
    return GroupDetail(**dict(group), members=tuple(member.device for member in members))


def _print(group: GroupDetail, as_json: bool) -> None:
    if as_json:
        print_json(group)
        return
    typer.echo(f"{group.name}: {group.query or 'a fixed list'}, {group.devices} devices")
    for device in group.members:
        typer.echo(f"  {device}")
