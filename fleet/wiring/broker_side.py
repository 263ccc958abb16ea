"""Puts together the broker, whom it believes, and our own lines to it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fleet.authority import Authority
from fleet.certificates import SERVER_LIFE
from fleet.connection import BrokerLogin
from fleet.home import Home
from fleet.settings import Settings
from fleet.south import commands, delivery, ingest, renewals
from fleet.south.broker import Broker
from fleet.south.bulk import BulkLink
from fleet.south.gate import Gate
from fleet.south.mosquitto_conf import Address
from fleet.south.mqtt import Login, MqttLink
from fleet.south.outside_broker import OutsideBroker
from fleet.south.rules import FLEET_USER, VIEWER_USER
from fleet.south.uplink_line import UplinkLine
from fleet.store.credentials import CredentialStore
from fleet.store.database import Database
from fleet.wall_clock import utc_now

if TYPE_CHECKING:
    from fleet.south.emqx import Emqx

# Each may hold a picture.
MAX_RESULTS_WAITING = 64


class BrokerSide:
    """Everything between us and devices."""

    def __init__(self, home: Home, settings: Settings, database: Database) -> None:
        """Make what certificates are missing; nothing listens yet."""
        self.authority = Authority(home.authority, utc_now())
        self.addresses = settings.addresses(self.authority.pem)
        self._names = settings.server_names
        self.identity = self.authority.server_identity(self._names, utc_now())
        self._identity_since = utc_now()
        self.simulation = home.simulation if settings.simulation else None
        address = Address(settings.host, settings.broker_port, self.authority.certificate_file, self.identity, self.simulation)
        self.broker = _broker(home, settings, address)
        reached, port = settings.reached_broker
        viewer = self.authority.own_client(VIEWER_USER, utc_now())
        self.watching = BrokerLogin(host=reached, port=port, authority=address.authority, identity=viewer)
        self._login = Login(reached, port, address.authority, self.authority.own_client(FLEET_USER, utc_now()))
        self.control_link = MqttLink(self._login, "fleet-control", ())
        self.uplink_line = UplinkLine(self._login, ingest.TOPICS, settings.replica)
        self.bulk_link = BulkLink(self._login, "fleet-bulk", delivery.TOPICS)
        self.renewal_link = MqttLink(self._login, "fleet-renewal", renewals.TOPICS)
        self.command_link = MqttLink(self._login, "fleet-command", commands.TOPICS, MAX_RESULTS_WAITING)
        self.credentials = CredentialStore(database)
        self.gate = Gate(self.credentials, self.authority, self.broker, self.control_link)

    def heir_line(self, replica: str) -> UplinkLine:
        """Return a line on which what waits for another server comes."""
        return UplinkLine(self._login, ingest.TOPICS, replica, is_heir=True)

    def admit_all(self) -> None:
        """Tell the broker whom to believe, and who is out; to be called before it starts."""
        following = self.authority.successor
        self.broker.believe({} if following is None else {f"{following.root.hash_name}.0": following.root.pem})
        self.gate.set(utc_now())  # with the list of revoked certificates that each root signs

    def renewed_identity(self, now: datetime) -> bool:
        """Have the broker show another certificate once half the life of ours is over; say whether it is so."""
        if now - self._identity_since <= SERVER_LIFE / 2:
            return False
        self.authority.server_identity(self._names, now)
        self._identity_since = now
        self.broker.reload()
        return True


def _broker(home: Home, settings: Settings, address: Address) -> Broker | OutsideBroker | Emqx:
    if settings.broker is None:
        return Broker(home.broker, address)
    if settings.broker_api is None:
        return OutsideBroker(home.broker, address, settings.broker[1])
    from fleet.south.emqx import Emqx  # its HTTP client is nobody else's here

    return Emqx(address, settings.broker_api)
