"""`fieldfare authority`: replaces the root that broker, server and devices know each other by, without a break."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from fleet.cli.client import connected
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import print_json, print_table
from fleet.cli.pages import every, first
from fleet.requests.authority import AuthorityState, Dependent, Retirement

app = typer.Typer(name="authority", no_args_is_help=True, help="Replace the authority by which server and devices know each other.")

SHOWN = 20


@app.command()
def show(folder: Folder = None, as_json: AsJson = False) -> None:
    """Show the authority, the one that follows it, and the devices that still depend on the present one."""
    with connected(folder) as api:
        state = api.get("authority", AuthorityState)
        waiting = () if as_json or not state.dependents else first(api, "authority/dependents", Dependent, SHOWN)
    _print(state, waiting, as_json=as_json)


@app.command()
def dependents(folder: Folder = None, as_json: AsJson = False) -> None:
    """List every device that would be cut off without the present authority while another follows it."""
    with connected(folder) as api:
        found = every(api, "authority/dependents", Dependent)
    print_json(found) if as_json else _print_dependents(found)


@app.command()
def rotate(folder: Folder = None, as_json: AsJson = False) -> None:
    """Make the next authority. Broker and devices believe both from now on; devices that are online get certificates of the next."""
    with connected(folder) as api:
        state = api.post("authority/successor", None, AuthorityState)
        waiting = () if as_json or not state.dependents else first(api, "authority/dependents", Dependent, SHOWN)
    _print(state, waiting, as_json=as_json)


@app.command()
def finish(
    leaves: Annotated[
        bool, typer.Option("--leave", help="Turn out the devices that still depend on it; each comes back by a token made for its name.")
    ] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Let the present authority go at the server's next start, once no device depends on it."""
    with connected(folder) as api:
        state = api.post("authority/retirement", Retirement(leaves=leaves), AuthorityState)
    _print(state, (), as_json=as_json)


def _print(state: AuthorityState, waiting: tuple[Dependent, ...], *, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    rows = [("present", state.present.fingerprint, f"{state.present.ends_at:%Y-%m-%d}")]
    if state.following is not None:
        rows.append(("follows", state.following.fingerprint, f"{state.following.ends_at:%Y-%m-%d}"))
    print_table(("AUTHORITY", "SHA-256", "ENDS"), rows, empty="")
    if state.is_retiring:
        typer.echo("restart the server: until then the present authority is believed; tokens and --ca files of the present one end with it")
    elif state.following is not None and state.dependents:
        typer.echo("")
        _print_dependents(waiting)
        if state.dependents > len(waiting):
            typer.echo(f"and {state.dependents - len(waiting)} more; see: fieldfare authority dependents")
    elif state.following is not None:
        typer.echo("no device depends on the present one; let it go with: fieldfare authority finish")


def _print_dependents(found: Sequence[Dependent]) -> None:
    rows = [(each.device, "online" if each.online else "offline") for each in found]
    print_table(("DEPENDS ON THE PRESENT ONE", ""), rows, empty="no device depends on the present one")
