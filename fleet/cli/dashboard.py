"""`fieldfare dashboard`: prints a link that logs in once."""

from __future__ import annotations

import typer

from fleet.cli.client import connected
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import print_json
from fleet.requests.access import LoginLink

app = typer.Typer()


@app.command()
def dashboard(folder: Folder = None, as_json: AsJson = False) -> None:
    """Print a one-time link that logs you in to the dashboard."""
    with connected(folder) as api:
        link = api.post("login-links", None, LoginLink)
    if as_json:
        print_json(link)
    else:
        typer.echo(link.url)
