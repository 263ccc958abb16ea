"""What `fieldfare fleet up` can be told, and how each option is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Where API, dashboard and broker listen with TLS; 0.0.0.0 for everywhere.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of API and dashboard without TLS, on this machine alone.")]
TlsPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of API and dashboard with TLS.")]
BrokerPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the MQTT broker, with TLS.")]
PublicNames = Annotated[
    list[str] | None, typer.Option(help="Name or address of this machine in certificates; devices are told the first. May be repeated.")
]
CertificateLife = Annotated[str, typer.Option(help="How long a device's certificate is good: 12h, 90d. It renews itself.")]
TrustFolder = Annotated[Path | None, typer.Option(help="The server folder of `fieldfare keys init`; without it all keys are made here.")]
ArtifactsPlace = Annotated[
    str | None, typer.Option(help="Where releases' files are kept, such as s3://bucket/fleet (extra s3); default: the folder.")
]
OutsideBrokerAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="An MQTT broker that others run, with TLS; several servers may then share folder and database. See broker/ in the folder.",
    ),
]
BrokerApiUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Of a cluster of EMQX brokers, its API: the server writes its rules. See docs/production.md."),
]
BrokerApiKeyFile = Annotated[Path | None, typer.Option(help="A file of mode 0600 with KEY:SECRET of that API.")]
MaxMbPerS = Annotated[float, typer.Option(min=0, max=1e6, help="How fast files go out over MQTT, all devices together; 0: no limit.")]
DeliveryHours = Annotated[str, typer.Option(help="When files go out over MQTT, such as 22:00-06:00; empty: always.")]
WithSimulation = Annotated[bool, typer.Option("--simulation", help="Also take devices that `fieldfare fleet simulate` plays.")]
OpenIdFile = Annotated[Path | None, typer.Option(help="A TOML file that names an OpenID provider; see docs/access.md.")]
IntroducingProxies = Annotated[
    list[str] | None,
    typer.Option(metavar="CIDR", help="Balancers that pass TLS through and say by the PROXY protocol who comes. May be repeated."),
]
ForwardingProxies = Annotated[
    list[str] | None,
    typer.Option(metavar="CIDR", help="Proxies that end TLS and say by X-Forwarded-For who comes, and nobody else. May be repeated."),
]
Replica = Annotated[str, typer.Option(metavar="NAME", help="This one of several servers at one broker; they share the messages.")]
