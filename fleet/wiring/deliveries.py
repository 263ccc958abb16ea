"""Puts together releases' files with the ways on which devices get them, and what is asked of devices beside their work."""

from __future__ import annotations

from datetime import timedelta

from fleet.home import Home
from fleet.settings import Settings
from fleet.south.commands import Commander
from fleet.south.delivery import Delivery
from fleet.south.deltas import Deltas
from fleet.store.artifacts import ArtifactStore
from fleet.store.commands import CommandStore
from fleet.store.database import Database
from fleet.store.deltas import DeltaStore
from fleet.wall_clock import utc_now
from fleet.wiring.broker_side import BrokerSide
from fleet.wiring.trust import Trust

COMMANDS_KEPT = timedelta(days=30)


class Deliveries:
    """What goes out to devices."""

    def __init__(self, home: Home, settings: Settings, database: Database, south: BrokerSide, trust: Trust) -> None:
        """Name where files lie."""
        self.artifacts = ArtifactStore(settings.artifacts or home.artifacts.as_uri())
        self.deltas = Deltas(DeltaStore((home.artifacts / "deltas").as_uri(), self.artifacts), home.folder)
        self.delivery = Delivery(south.bulk_link, self.artifacts, self.deltas, settings.pace)
        self.commands = CommandStore(database, COMMANDS_KEPT)
        self.commander = Commander(south.command_link, self.commands, trust.signer, utc_now)
