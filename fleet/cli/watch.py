"""`fieldfare watch`: shows the health of devices as they speak of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.live import Live

from contracts import codec
from contracts.messages import Health
from contracts.names import DeviceId
from fleet.cli.health_table import LOST, Seen, draw, note, told
from fleet.cli.listener import Listener
from fleet.cli.options import Folder
from fleet.connection import find_connection
from fleet.errors.client import BrokerUnknownError
from fleet.home import Home, default_folder

REFRESH_S = 0.5

app = typer.Typer()


@app.command()
def watch(
    devices: Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Devices to watch; without any, all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each message.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many health messages.")] = None,
    folder: Folder = None,
) -> None:
    """Show live health over MQTT: a table in the terminal, into a pipe a line for each change; Ctrl-C ends."""
    place = Home(folder or default_folder()).connection
    broker = find_connection(place).broker
    if broker is None:
        raise BrokerUnknownError(str(place))
    listener = Listener(broker, check_names(devices or []))
    try:
        with listener.open():
            if as_json:
                _print_json(listener, count)
            elif Console().is_terminal:
                _show_table(listener, count)
            else:
                _print_changes(listener, count)
    except KeyboardInterrupt:
        pass
    if listener.unreadable or listener.dropped:
        typer.echo(f"{listener.unreadable} messages could not be read, {listener.dropped} came too fast", err=True)


def check_names(devices: Iterable[str]) -> list[str]:
    """Return names that may stand in a topic; raise InvalidDocumentError for the first that may not."""
    adapter: TypeAdapter[str] = TypeAdapter(DeviceId)
    try:
        return [adapter.validate_python(device) for device in devices]
    except ValidationError as error:
        raise codec.invalid_document("DEVICE", error) from error


def _print_json(listener: Listener, count: int | None) -> None:
    health = 0
    while count is None or health < count:
        for heard in listener.take(REFRESH_S):
            leaf = "health" if isinstance(heard.message, Health) else "birth"
            typer.echo(json.dumps({"device": heard.device, "leaf": leaf, "message": heard.message.model_dump(mode="json")}))
            health += leaf == "health"
            if health == count:
                return


def _print_changes(listener: Listener, count: int | None) -> None:
    """Print a device's line whenever it says something else than before."""
    seen: dict[str, Seen] = {}
    shown: dict[str, str] = {}
    health, was_up = 0, True
    while count is None or health < count:
        for heard in listener.take(REFRESH_S):
            note(seen, heard)
            health += isinstance(heard.message, Health)
            if heard.device in seen and (line := told(heard.device, seen[heard.device])) != shown.get(heard.device):
                shown[heard.device] = line
                typer.echo(f"{heard.at:%Y-%m-%dT%H:%M:%SZ}  {line}")
            if health == count:
                return
        if was_up is not listener.is_up:
            was_up = listener.is_up
            typer.echo("connection to the broker is back" if was_up else LOST, err=True)


def _show_table(listener: Listener, count: int | None) -> None:
    seen: dict[str, Seen] = {}
    health, drawn = 0, time.monotonic()
    with Live(draw(seen, is_up=True), console=Console(), auto_refresh=False) as live:
        while count is None or health < count:
            for heard in listener.take(REFRESH_S):
                note(seen, heard)
                health += isinstance(heard.message, Health)
            if time.monotonic() - drawn >= REFRESH_S:
                drawn = time.monotonic()
                live.update(draw(seen, is_up=listener.is_up), refresh=True)
        live.update(draw(seen, is_up=listener.is_up), refresh=True)
