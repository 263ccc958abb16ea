"""Puts together who may use API and dashboard, and where what they do is told."""

from __future__ import annotations

from fleet.dashboard.session import OpenIdDesk, Sessions
from fleet.front_desk import FrontDesk, Registers
from fleet.home import Home
from fleet.north.ports import Addresses
from fleet.openid.settings import OpenIdSettings
from fleet.passwords import Passwords
from fleet.people_desk import PeopleDesk
from fleet.secret_files import connect_owner
from fleet.store.access import AccessStore
from fleet.store.audit import AuditStore
from fleet.store.database import Database
from fleet.store.login_failures import LoginFailureStore
from fleet.store.people import PeopleStore
from fleet.store.sessions import SessionStore
from fleet.wall_clock import utc_now
from fleet.wiring.broker_side import BrokerSide


class People:
    """Who is who; the owner of the folder is let in by a file in it."""

    def __init__(self, home: Home, database: Database, south: BrokerSide, openid: OpenIdSettings | None) -> None:
        """Make the owner's file."""
        self.audit = AuditStore(database)
        self.access = AccessStore(database)
        passwords, people = Passwords(), PeopleStore(database)
        self.desk = PeopleDesk(people, passwords)
        registers = Registers(people, LoginFailureStore(database), SessionStore(database), self.access, self.audit)
        front_desk = FrontDesk(registers, passwords, utc_now)
        self.connection = connect_owner(home, self.access, south.addresses.url, south.watching, utc_now())
        provider = None if openid is None else _openid(openid, database, front_desk, south.addresses)
        self.sessions = Sessions(front_desk, provider)

    @property
    def has_names(self) -> bool:
        """Say whether anybody can sign in by name."""
        return bool(self.desk.users())


def _openid(settings: OpenIdSettings, database: Database, front_desk: FrontDesk, addresses: Addresses) -> OpenIdDesk:
    """Name the provider whose word counts."""
    from fleet.openid.desk import OpenIdDesk as Desk  # few servers have one, and it takes an HTTP client and all kinds of signatures
    from fleet.store.openid_trips import OpenIdTripStore

    return Desk(settings, OpenIdTripStore(database), front_desk, {"http": addresses.url, "https": addresses.public_url}, utc_now)
