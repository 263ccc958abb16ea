"""Hands the API what it works with."""

from __future__ import annotations

from fleet.north.ports import Rehearsal, Services
from fleet.release.admission import ReleaseDesk
from fleet.store.device_pages import DevicePages
from fleet.store.lists import StoreLists
from fleet.store.repeats import RepeatStore
from fleet.store.settings_pages import SettingsPages
from fleet.wall_clock import utc_now
from fleet.wiring.fleet import Fleet


def services(fleet: Fleet) -> Services:
    """Return each desk by the name that the API has for it."""
    south, trust, rollouts, deliveries = fleet.south, fleet.trust, fleet.rollouts, fleet.deliveries
    return Services(
        reader=fleet.reader,
        lists=StoreLists(fleet.database, fleet.reader, utc_now),
        device_pages=DevicePages(fleet.database, utc_now),
        settings_pages=SettingsPages(fleet.database),
        probe=fleet.reader.probe,
        access=fleet.people.access,
        people=fleet.people.desk,
        audit=fleet.people.audit,
        enrolment=fleet.arrivals.enrolment,
        succession=fleet.arrivals.succession,
        releases=ReleaseDesk(trust.repository, deliveries.artifacts, rollouts.releases, trust.publisher.changed),
        commands=deliveries.commands,
        repeats=RepeatStore(fleet.database),
        configurations=rollouts.settings_desk,
        targeting=rollouts.targeting,
        preview=rollouts.preview,
        groups=rollouts.groups,
        rollouts=rollouts.desk,
        trust=trust.repository,
        trust_desk=trust.desk,
        artifacts=deliveries.artifacts,
        devices=south.credentials,
        addresses=south.addresses,
        simulation=Rehearsal(str(south.simulation), rollouts.devices) if south.simulation else None,
        now=utc_now,
    )
