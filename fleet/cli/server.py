"""`fieldfare fleet`: runs the server."""

from __future__ import annotations

import logging
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import anyio
import typer

from contracts.errors import InvalidDocumentError
from contracts.pace import Hours
from fleet.cli.options import DatabaseOption, Folder, parse_duration
from fleet.connection import Connection
from fleet.home import default_folder

app = typer.Typer(no_args_is_help=True)


@app.callback()
def fleet() -> None:
    """Run the fleet server."""


@app.command()
def up(
    folder: Folder = None,
    host: Annotated[str, typer.Option(help="Where API, dashboard and broker listen with TLS; 0.0.0.0 for everywhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of API and dashboard without TLS, on this machine alone.")] = 8480,
    tls_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of API and dashboard with TLS.")] = 8481,
    broker_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MQTT broker, with TLS.")] = 8483,
    public_name: Annotated[
        list[str] | None, typer.Option(help="Name or address of this machine in certificates; devices are told the first. May be repeated.")
    ] = None,
    certificate_life: Annotated[str, typer.Option(help="How long a device's certificate is good: 12h, 90d. It renews itself.")] = "365d",
    trust: Annotated[
        Path | None, typer.Option(help="The server folder of `fieldfare keys init`; without it all keys are made here.")
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option(help="Where releases' files are kept, such as s3://bucket/fleet (extra s3); default: the folder.")
    ] = None,
    database: DatabaseOption = None,
    broker: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="An MQTT broker that others run, with TLS; several servers may then share folder and database. See broker/ in the folder.",
        ),
    ] = None,
    broker_api: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of a cluster of EMQX brokers, its API: the server writes its rules. See docs/production.md."),
    ] = None,
    broker_api_key: Annotated[Path | None, typer.Option(help="A file of mode 0600 with KEY:SECRET of that API.")] = None,
    max_mb_per_s: Annotated[float, typer.Option(min=0, max=1e6, help="How fast files go out, all devices together; 0: no limit.")] = 0.0,
    delivery_hours: Annotated[str, typer.Option(help="When files go out, such as 22:00-06:00; empty: always.")] = "",
    simulation: Annotated[bool, typer.Option("--simulation", help="Also take devices that `fieldfare fleet simulate` plays.")] = False,
    openid: Annotated[Path | None, typer.Option(help="A TOML file that names an OpenID provider; see docs/access.md.")] = None,
    proxy_protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Balancers that pass TLS through and say by the PROXY protocol who comes. May be repeated."),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Proxies that end TLS and say by X-Forwarded-For who comes, and nobody else. May be repeated."),
    ] = None,
    replica: Annotated[str, typer.Option(metavar="NAME", help="This one of several servers at one broker; they share the messages.")] = "",
) -> None:
    """Start broker, API and dashboard, and serve until stopped; the first start makes keys, database and tokens."""
    from fleet import wiring  # every other command does without the server's libraries
    from fleet.errors.server import ApiWithoutBrokerError
    from fleet.openid.settings import read_settings
    from fleet.proxies import Proxies, parse_networks
    from fleet.settings import Settings
    from fleet.south.delivery import Pace
    from fleet.south.emqx import Api
    from fleet.store import place

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    os.umask(0o077)  # keys, database and artifacts are nobody else's to read
    folder = folder or default_folder()
    hours = parse_hours("--delivery-hours", delivery_hours)

    def announce(connection: Connection, has_people: bool) -> None:
        typer.echo(f"ready: {connection.url} (with TLS {host}:{tls_port}, broker {broker or f'{host}:{broker_port}'}, folder {folder})")
        if not has_people:
            typer.echo("nobody can sign in by name yet; let the first admin in with: fieldfare user add NAME --role admin")
        typer.echo("log in to the dashboard with a name and its password, or once by the link that this prints: fieldfare dashboard")

    life = timedelta(seconds=parse_duration("--certificate-life", certificate_life))
    pace = Pace(max_mb_per_s * 1e6, hours)
    names = tuple(public_name or ())
    found = place.find_place(database, os.environ.get(place.VARIABLE))
    outside = parse_address("--broker", broker) if broker else None
    if (broker_api is None) != (broker_api_key is None) or (broker_api and not broker):
        raise ApiWithoutBrokerError
    api = Api.read(broker_api, broker_api_key) if broker_api and broker_api_key else None
    settings = Settings(
        *(folder, host, port, tls_port, broker_port, names, life, trust, pace, artifacts, simulation, found, outside, api, replica),
        None if openid is None else read_settings(openid),
        Proxies(
            introducing=parse_networks("--proxy-protocol", proxy_protocol or ()),
            forwarding=parse_networks("--trusted-proxy", trusted_proxy or ()),
        ),
    )
    anyio.run(wiring.run, settings, announce)


def parse_hours(option: str, text: str) -> Hours | None:
    """Read `HH:MM-HH:MM`; raise InvalidDocumentError."""
    try:
        return Hours.parse(text)
    except ValueError as error:
        raise InvalidDocumentError("fleet up", option, "HH:MM-HH:MM", repr(text[:40])) from error


def parse_address(option: str, text: str) -> tuple[str, int]:
    """Read `HOST:PORT`; raise InvalidDocumentError."""
    match = re.fullmatch(r"([A-Za-z0-9.-]{1,253}):([0-9]{1,5})", text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise InvalidDocumentError("fleet up", option, "HOST:PORT", repr(text[:40]))
    return match[1], int(match[2])
