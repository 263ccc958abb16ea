"""`fieldfare fleet`: runs the server, and what else is done to a whole fleet."""

from __future__ import annotations

import logging
import os
import re
from datetime import timedelta

import anyio
import typer

from contracts.errors import InvalidDocumentError
from contracts.pace import Hours
from fleet.cli import server_options as told
from fleet.cli.backup import backup, restore
from fleet.cli.options import DatabaseOption, Folder, parse_duration
from fleet.cli.simulation import simulate
from fleet.connection import Connection
from fleet.heap import put_garbage_off
from fleet.home import default_folder

app = typer.Typer(name="fleet", no_args_is_help=True, help="Run the fleet server, or play devices for it.")


@app.command()
def up(
    folder: Folder = None,
    host: told.Host = "127.0.0.1",
    port: told.Port = 8480,
    tls_port: told.TlsPort = 8481,
    broker_port: told.BrokerPort = 8483,
    public_name: told.PublicNames = None,
    certificate_life: told.CertificateLife = "365d",
    trust: told.TrustFolder = None,
    artifacts: told.ArtifactsPlace = None,
    database: DatabaseOption = None,
    broker: told.OutsideBrokerAddress = None,
    broker_api: told.BrokerApiUrl = None,
    broker_api_key: told.BrokerApiKeyFile = None,
    max_mb_per_s: told.MaxMbPerS = 0.0,
    delivery_hours: told.DeliveryHours = "",
    simulation: told.WithSimulation = False,
    openid: told.OpenIdFile = None,
    proxy_protocol: told.IntroducingProxies = None,
    trusted_proxy: told.ForwardingProxies = None,
    replica: told.Replica = "",
) -> None:
    """Start broker, API and dashboard, and serve until stopped; the first start makes keys, database and tokens."""
    put_garbage_off()
    from fleet.errors.server import ApiWithoutBrokerError  # every other command does without the server's libraries
    from fleet.openid.settings import read_settings
    from fleet.proxies import Proxies, parse_networks
    from fleet.settings import Settings
    from fleet.south.delivery import Pace
    from fleet.south.emqx_api import Api
    from fleet.store import place
    from fleet.wiring.server import run

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
    anyio.run(run, settings, announce)


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


app.command()(simulate)
app.command()(backup)
app.command()(restore)
