"""Puts together how machines become devices, stay so by other certificates, and stop being ones."""

from __future__ import annotations

from fleet.enrolment import Consequences, Enrolment
from fleet.settings import Settings
from fleet.south.farewells import Farewells
from fleet.south.renewals import Renewals
from fleet.store.database import Database
from fleet.store.departures import DepartureStore
from fleet.succession import SuccessionDesk
from fleet.wall_clock import utc_now
from fleet.wiring.broker_side import BrokerSide
from fleet.wiring.rollouts import Rollouts
from fleet.wiring.trust import Trust


class Arrivals:
    """Who is a device."""

    def __init__(self, settings: Settings, database: Database, south: BrokerSide, trust: Trust, rollouts: Rollouts) -> None:
        """Have all that follows from a device's coming and going follow."""
        departures = DepartureStore(database)
        consequences = Consequences(trust.director.welcome, south.gate.set, south.gate.shut_out, rollouts.desk.let_go)
        self.farewells = Farewells(departures, south.control_link)
        self.enrolment = Enrolment(south.credentials, departures, south.authority, consequences, settings.certificate_life)
        self.succession = SuccessionDesk(south.authority, rollouts.devices, south.credentials, self.enrolment.revoke)
        self.renewals = Renewals(south.renewal_link, self.enrolment, utc_now)
