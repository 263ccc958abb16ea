"""Names what one server alone does, the one that leads where there are several, and how often."""

from __future__ import annotations

from fleet.doors import Doors
from fleet.leading import Duty
from fleet.south.succession import SuccessionHerald
from fleet.wall_clock import utc_now
from fleet.wiring.fleet import Fleet

STEP_S = 0.25
HOUSEKEEPING_S = 60.0
FOLLOW_S = 2.0
RETENTION_S = 10.0
CHECK_POINT_S = 5.0


class Duties:
    """What the rooms do together while the server leads."""

    def __init__(self, fleet: Fleet, doors: Doors) -> None:
        """Show at `doors` what devices and people are to believe."""
        self._fleet = fleet
        self._doors = doors
        self._connections_seen = self._subscriptions_seen = 0

    def all(self) -> tuple[Duty, ...]:
        """Return each with the seconds between its turns."""
        fleet, south = self._fleet, self._fleet.south
        herald = SuccessionHerald(south.authority, south.control_link, south.admit_all)
        shared = (Duty("gate", south.gate.follow, FOLLOW_S),) if fleet.is_shared else ()
        return (
            *shared,
            Duty("heir", fleet.hearing.heir.turn, STEP_S) if fleet.hearing.is_shared else Duty("ingest", fleet.hearing.ingest.turn),
            Duty("delivery", fleet.deliveries.delivery.turn),
            Duty("deltas", fleet.deliveries.deltas.turn),
            Duty("commands", fleet.deliveries.commander.turn),
            Duty("renewals", fleet.arrivals.renewals.turn),
            Duty("speak", self.speak, STEP_S),
            Duty("succession", herald.turn, FOLLOW_S),
            Duty("retention", lambda: fleet.retention.turn(utc_now()), RETENTION_S),
            Duty("check point", fleet.database.check_point, CHECK_POINT_S),
            Duty("house", self.keep_house, HOUSEKEEPING_S),
        )

    def speak(self) -> None:
        """Bring rollouts forward, and the broker what it lacks."""
        fleet, south, trust = self._fleet, self._fleet.south, self._fleet.trust
        if not fleet.leader.is_held():
            return
        if fleet.is_shared:
            trust.signer.reload()  # another server may have taken another key in
        fleet.rollouts.conductor.turn(utc_now())
        if south.uplink_line.subscriptions != self._subscriptions_seen:
            self._subscriptions_seen = south.uplink_line.subscriptions
            south.broker.save()
        if not south.control_link.is_up:
            return
        if south.control_link.connections != self._connections_seen:
            self._connections_seen = south.control_link.connections
            trust.publisher.changed()
            trust.director.publish_all_again()
        south.gate.turn()
        fleet.arrivals.farewells.turn()
        trust.publisher.turn()
        trust.director.publish()

    def keep_house(self) -> None:
        """Renew signatures before they end, and forget what is old."""
        fleet, now = self._fleet, utc_now()
        if fleet.south.renewed_identity(now):
            self._doors.reload()
        if fleet.trust.repository.refresh(now):
            fleet.trust.publisher.changed()
        fleet.trust.director.renew(now)
        fleet.hearing.uplinks.prune(now)
        fleet.deliveries.commands.prune(now)
        fleet.south.credentials.forget(now)
