"""`fieldfare fleet`: runs the server."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import anyio
import typer

from contracts.errors import InvalidDocumentError
from contracts.pace import Hours
from fleet.cli.options import Folder
from fleet.connection import Connection
from fleet.home import default_folder

app = typer.Typer(no_args_is_help=True)


@app.callback()
def fleet() -> None:
    """Run the fleet server."""


@app.command()
def up(
    folder: Folder = None,
    host: Annotated[str, typer.Option(help="Where people reach API and dashboard.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of API and dashboard.")] = 8480,
    broker_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MQTT broker.")] = 8483,
    trust: Annotated[
        Path | None, typer.Option(help="The server folder of `fieldfare keys init`; without it all keys are made here.")
    ] = None,
    max_mb_per_s: Annotated[float, typer.Option(min=0, max=1e6, help="How fast files go out, all devices together; 0: no limit.")] = 0.0,
    delivery_hours: Annotated[str, typer.Option(help="When files go out, such as 22:00-06:00; empty: always.")] = "",
) -> None:
    """Start broker, API and dashboard, and serve until stopped; the first start makes keys, database and tokens."""
    from fleet import wiring  # every other command does without the server's libraries
    from fleet.south.delivery import Pace

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    os.umask(0o077)  # keys, database and artifacts are nobody else's to read
    folder = folder or default_folder()
    hours = parse_hours("--delivery-hours", delivery_hours)

    def announce(connection: Connection) -> None:
        typer.echo(f"ready: {connection.url} (broker 127.0.0.1:{broker_port}, folder {folder})")
        typer.echo("log in to the dashboard with: fieldfare dashboard")

    pace = Pace(max_mb_per_s * 1e6, hours)
    anyio.run(wiring.run, wiring.Settings(folder, host, port, broker_port, trust, pace), announce)


def parse_hours(option: str, text: str) -> Hours | None:
    """Read `HH:MM-HH:MM`; raise InvalidDocumentError."""
    try:
        return Hours.parse(text)
    except ValueError as error:
        raise InvalidDocumentError("fleet up", option, "HH:MM-HH:MM", repr(text[:40])) from error
