"""Puts together how what devices say is heard and kept, by one server or by several that share it."""

from __future__ import annotations

from datetime import timedelta

from fleet.south.heir import Heir, Share
from fleet.south.ingest import Ingest
from fleet.south.presence import Presence
from fleet.store.database import Database
from fleet.store.replicas import ReplicaStore
from fleet.store.uplinks import UplinkStore
from fleet.wall_clock import utc_now
from fleet.wiring.broker_side import BrokerSide

UPLINKS_KEPT = timedelta(days=30)


class Hearing:
    """What devices say."""

    def __init__(self, replica: str, database: Database, south: BrokerSide) -> None:
        """Hear as `replica`, the name of one of several servers; empty for the only one."""
        # Named servers share what devices say; else the one that leads hears all of it.
        self.is_shared = bool(replica)
        self._south = south
        self.uplinks = UplinkStore(database, UPLINKS_KEPT)
        self.ingest = Ingest(south.uplink_line, self.uplinks, utc_now)
        replicas = ReplicaStore(database)
        self.presence = Presence(replica, replicas, south.uplink_line, self.ingest)
        self.heir = Heir(replica, replicas, self._share_of, self._hears)

    def stop(self) -> None:
        """Leave what devices say to the other servers, if there are any, or to the broker's keeping."""
        self._south.uplink_line.close()
        if self.is_shared:
            self.presence.leave()

    def _share_of(self, replica: str) -> Share:
        """Return what waits for another server."""
        line = self._south.heir_line(replica)
        return Share(line, Ingest(line, self.uplinks, utc_now))

    def _hears(self) -> bool:
        """Say whether devices' messages come here."""
        return self._south.uplink_line.is_up and self._south.uplink_line.subscriptions > 0
