"""`fieldfare token`: lets people and programs use the API, each in a role."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contracts import codec
from fleet.cli.client import connected, request
from fleet.cli.options import AsJson, Folder, parse_duration
from fleet.cli.output import print_json, print_table
from fleet.cli.pages import every
from fleet.connection import Connection
from fleet.files import write_secret
from fleet.requests.access import GivenAccess, NewToken
from fleet.views.access import TokenView

app = typer.Typer(name="token", no_args_is_help=True, help="Let people and programs use the API.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose it is.")]


@app.command()
def create(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer looks; operator also releases and rolls out; admin may do all.")] = "viewer",
    expires: Annotated[str | None, typer.Option(help="How long it can be used: 12h, 90d.", show_default="until it is revoked")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write it as a connection file into this folder, to be used elsewhere with --dir.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once; the server keeps its digest alone."""
    life_s = None if expires is None else parse_duration("--expires", expires)
    new = request(NewToken, name=name, role=role, life_s=life_s)
    with connected(folder) as api:
        given = api.post("tokens", new, GivenAccess)
    if out is not None:
        file = out / "connection.json"
        write_secret(file, codec.encode(Connection(url=given.url, token=given.token, ca=given.ca)))
        typer.echo(f"wrote {file}; use it with: fieldfare devices --dir {out}")
    elif as_json:
        print_json(given)
    else:
        typer.echo(given.token)


@app.command("list")
def list_tokens(folder: Folder = None, as_json: AsJson = False) -> None:
    """List all tokens, without their secrets."""
    with connected(folder) as api:
        found = every(api, "tokens", TokenView)
    if as_json:
        print_json(found)
        return
    rows = [
        (each.name, each.role, f"{each.created_at:%Y-%m-%d}", f"{each.expires_at:%Y-%m-%d}" if each.expires_at else "never")
        for each in found
    ]
    print_table(("TOKEN", "ROLE", "MADE", "ENDS"), rows, empty="no tokens")


@app.command()
def revoke(name: Name, folder: Folder = None) -> None:
    """Let a token in no more."""
    with connected(folder) as api:
        api.order("DELETE", f"tokens/{name}")
    typer.echo(f"revoked {name}")
