"""What the database forgets of a device that was removed, and what it must remember, on both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select

from contracts.downlinks import Desired
from fleet.core.devices import Device
from fleet.core.enrolment import Grant, Issued, Standing, check_renewal
from fleet.core.targeting.groups import FixedGroup
from fleet.core.wishes import first_wish
from fleet.errors.devices import UnknownDeviceError
from fleet.errors.enrolment import RevokedError
from fleet.store.credentials import CredentialStore
from fleet.store.database import Database
from fleet.store.departures import HISTORY, STATE, DepartureStore
from fleet.store.devices import DeviceStore
from fleet.store.groups import GroupStore
from fleet.store.tables import health_points
from fleet.store.wishes import WishStore
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
SECRET = "s" * 43


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return one in which pi-1 and pi-2 are enrolled, have a wish of generation 7, and were heard."""
    opened = Database(new_place(request.param, tmp_path))
    credentials = CredentialStore(opened)
    for device in ("pi-1", "pi-2"):
        credentials.give_out(f"{device}{SECRET}", Grant(device, "cpu", {}, 5, NOW + timedelta(hours=1)))
        credentials.admit(Device(device, "cpu", {}, NOW), f"{device}{SECRET}", issued(device))
        WishStore(opened).put_all([(wish(device, 7), b"signed")])
    point = {"session": "a" * 16, "sequence": 1, "at": NOW, "cpu_percent": 1.0, "memory_percent": 1.0, "disk_percent": 1.0}
    with opened.writing() as connection:
        connection.execute(health_points.insert(), [{"device": device, **point} for device in ("pi-1", "pi-2")])
    GroupStore(opened).put("pair", FixedGroup(frozenset({"pi-1", "pi-2"})), None)
    yield opened
    opened.close()


def issued(device: str) -> Issued:
    return Issued("pem", f"{device[-1]}a", device[-1] * 64, NOW, NOW + timedelta(days=365))


def wish(device: str, generation: int) -> Desired:
    return first_wish(device, NOW, floor=generation - 1)


def rows_of(database: Database, device: str) -> dict[str, int]:
    with database.reading() as connection:
        counts = {t.name: connection.execute(select(func.count()).where(t.c.device == device)).scalar_one() for t in (*STATE, *HISTORY)}
    return {name: count for name, count in counts.items() if count}


def test_a_removed_device_stands_as_revoked_until_its_certificates_end(database: Database) -> None:
    credentials, departures = CredentialStore(database), DepartureStore(database)

    departures.remove("pi-1", "anna", NOW, keeps_history=False)

    assert DeviceStore(database).ids() == ("pi-2",)
    assert credentials.standing("pi-1", NOW) == Standing(is_revoked=True, certificates=0)
    with pytest.raises(RevokedError):
        check_renewal("pi-1", credentials.standing("pi-1", NOW))
    assert credentials.revoked() == ("pi-1",)
    assert credentials.revoked_serials(NOW) == ("1a",)
    assert not credentials.is_good("pi-1", "1a", NOW)
    assert credentials.grant(f"pi-1{SECRET}") is None
    assert GroupStore(database).get("pair") == FixedGroup(frozenset({"pi-2"}))
    credentials.forget(NOW + timedelta(days=366))
    assert (credentials.revoked(), credentials.revoked_serials(NOW)) == ((), ())
    assert credentials.standing("pi-1", NOW) == Standing(is_revoked=True, certificates=0)


def test_history_goes_or_stays_by_choice_and_goes_when_it_is_removed_again(database: Database) -> None:
    departures = DepartureStore(database)

    departures.remove("pi-1", "anna", NOW, keeps_history=True)
    assert rows_of(database, "pi-1") == {"health_points": 1}
    departures.remove("pi-1", "anna", NOW, keeps_history=False)

    assert rows_of(database, "pi-1") == {}
    assert rows_of(database, "pi-2") == {"desired": 1, "health_points": 1}


def test_nobody_is_removed_who_never_was_here(database: Database) -> None:
    with pytest.raises(UnknownDeviceError):
        DepartureStore(database).remove("nobody", "anna", NOW, keeps_history=False)


def test_a_wish_that_comes_too_late_is_not_kept_and_the_next_of_the_name_counts_on(database: Database) -> None:
    wishes, departures, credentials = WishStore(database), DepartureStore(database), CredentialStore(database)
    departures.remove("pi-1", "anna", NOW, keeps_history=False)

    wishes.put_all([(wish("pi-1", 8), b"too late"), (wish("pi-2", 8), b"in time")])

    assert wishes.get("pi-1") is None
    assert wishes.get("pi-2") == wish("pi-2", 8)
    assert wishes.floors(["pi-1", "pi-2"]) == {"pi-1": 7}
    # When the name comes back and is removed before it was wished anything, then its floor stays
    credentials.give_out(f"again{SECRET}", Grant("pi-1", "cpu", {}, 1, NOW + timedelta(hours=1)))
    credentials.admit(Device("pi-1", "cpu", {}, NOW), f"again{SECRET}", Issued("pem", "1b", "3" * 64, NOW, NOW + timedelta(days=365)))
    assert credentials.revoked() == ()
    departures.remove("pi-1", "anna", NOW, keeps_history=False)
    assert wishes.floors(["pi-1"]) == {"pi-1": 7}


def test_what_the_broker_retains_is_cleared_once_and_never_of_a_name_that_came_back(database: Database) -> None:
    departures, credentials = DepartureStore(database), CredentialStore(database)
    departures.remove("pi-1", "anna", NOW, keeps_history=False)
    departures.remove("pi-2", "anna", NOW, keeps_history=False)
    credentials.give_out(f"again{SECRET}", Grant("pi-2", "cpu", {}, 1, NOW + timedelta(hours=1)))
    credentials.admit(Device("pi-2", "cpu", {}, NOW), f"again{SECRET}", Issued("pem", "2b", "3" * 64, NOW, NOW + timedelta(days=365)))

    assert departures.uncleared() == ("pi-1",)
    departures.cleared(["pi-1"])
    assert departures.uncleared() == ()
