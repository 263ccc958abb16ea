"""Connects the rooms of one server, in the order in which they need each other."""

from __future__ import annotations

from fleet.home import Home
from fleet.housekeeping import RetentionRuns
from fleet.settings import Settings
from fleet.store.database import Database
from fleet.store.leader import SharedLeader, SoleLeader
from fleet.store.reader import StoreReader
from fleet.store.retention import Retention
from fleet.wall_clock import utc_now
from fleet.wiring.arrivals import Arrivals
from fleet.wiring.broker_side import BrokerSide
from fleet.wiring.deliveries import Deliveries
from fleet.wiring.hearing import Hearing
from fleet.wiring.people import People
from fleet.wiring.rollouts import Rollouts
from fleet.wiring.trust import Trust


class Fleet:
    """All parts of one server, connected."""

    def __init__(self, home: Home, settings: Settings) -> None:
        """Open what lies on disk; nothing runs yet."""
        self.database = Database(settings.database or home.database)
        self.south = BrokerSide(home, settings, self.database)
        self.people = People(home, self.database, self.south, settings.openid)
        self.trust = Trust(home, settings, self.database, self.south)
        self.deliveries = Deliveries(home, settings, self.database, self.south, self.trust)
        self.rollouts = Rollouts(self.database, self.deliveries.artifacts, self.trust)
        self.arrivals = Arrivals(settings, self.database, self.south, self.trust, self.rollouts)
        self.hearing = Hearing(settings.replica, self.database, self.south)
        self.reader = StoreReader(self.database, utc_now, self.rollouts.roster)
        self.retention = RetentionRuns(Retention(self.database), self.people.audit)
        # With a broker that others run, servers may share folder and database.
        self.is_shared = settings.broker is not None
        self.leader = SharedLeader(self.database) if self.is_shared else SoleLeader()
