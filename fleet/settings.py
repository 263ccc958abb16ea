"""What a server is told at its start, and what follows from it: where it listens, and by which names it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fleet.errors.server import LonelyBrokerError, NamelessServerError
from fleet.north.ports import Addresses
from fleet.openid.settings import OpenIdSettings
from fleet.proxies import NOBODY, Proxies
from fleet.south.broker import EVERYWHERE, reachable
from fleet.south.delivery import UNBOUNDED, Pace
from fleet.south.emqx_api import Api
from fleet.store.place import PostgresUrl

# What is not TLS never leaves the machine.
LOOPBACK = "127.0.0.1"
DEFAULT_CERTIFICATE_LIFE = timedelta(days=365)


@dataclass(frozen=True)
class Settings:
    """What `fieldfare fleet up` was told."""

    folder: Path
    # Where devices, and people elsewhere, reach broker and API, with TLS; without it people reach the API on this machine alone.
    host: str
    port: int
    tls_port: int
    broker_port: int
    # Names and addresses by which the machine is reached from elsewhere, the one that devices are told first.
    public_names: tuple[str, ...] = ()
    certificate_life: timedelta = DEFAULT_CERTIFICATE_LIFE
    # The server folder of offline keys' making; without one a new server makes all keys itself.
    trust: Path | None = None
    pace: Pace = UNBOUNDED
    # Where files of releases are kept, such as s3://bucket/fleet; None for the server's folder.
    artifacts: str | None = None
    # Whether devices may be played.
    simulation: bool = False
    # None for a file in the server's folder.
    database: PostgresUrl | None = None
    # Host and port of a broker that others run; None for one of our own. With one, servers may share folder and database.
    broker: tuple[str, int] | None = None
    # How a cluster of EMQX brokers is told who is out; None for a mosquitto, which reads it in the folder.
    broker_api: Api | None = None
    # The name of this one of several servers that share what devices say; empty when it is the only one.
    replica: str = ""
    # An identity provider whose people may sign in.
    openid: OpenIdSettings | None = None
    # Balancers that may say on whose behalf they come.
    proxies: Proxies = NOBODY

    def __post_init__(self) -> None:
        """Raise NamelessServerError or LonelyBrokerError."""
        if self.host in EVERYWHERE and not self.public_names:
            raise NamelessServerError(self.host)
        if self.broker is not None and self.database is None:
            raise LonelyBrokerError("{}:{}".format(*self.broker))

    @property
    def reached_broker(self) -> tuple[str, int]:
        """Where our own lines reach the broker."""
        return self.broker or (reachable(self.host), self.broker_port)

    @property
    def server_names(self) -> tuple[str, ...]:
        """What stands in the server's certificate."""
        host = () if self.host in EVERYWHERE else (self.host,)
        # An outside broker shows the same certificate, unless its owner has a better one.
        broker = self.broker[:1] if self.broker else ()
        return tuple(dict.fromkeys((*self.public_names, *host, *broker, LOOPBACK, "localhost")))

    def addresses(self, authority: str) -> Addresses:
        """Return where people and devices reach the fleet, and the authority, in PEM, by which they know it."""
        name = self.public_names[0] if self.public_names else self.host
        broker_host, broker_port = self.broker or (name, self.broker_port)
        url, public_url = f"http://{LOOPBACK}:{self.port}", f"https://{name}:{self.tls_port}"
        return Addresses(url, public_url, broker_host, broker_port, authority)
