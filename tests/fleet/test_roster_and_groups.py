"""What the fleet remembers of devices, and their groups and labels, on a real database of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, Machine, Message, ModelReport, ReleaseRef, Reported
from fleet.core.devices import Device
from fleet.core.freshness import Heard
from fleet.core.labels import MAX_LABELS, version_of
from fleet.core.targeting import groups
from fleet.core.targeting.groups import FixedGroup, SavedQuery
from fleet.core.targeting.parse import parse_query
from fleet.errors.devices import UnknownDeviceError
from fleet.errors.targeting import LabelsError, StaleVersionError, UnknownGroupError
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.groups import GroupStore
from fleet.store.roster import Roster
from fleet.store.uplinks import UplinkStore
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
MACHINE = Machine(architecture="aarch64", system="Linux 6.6", python="3.11", cpu_count=4, memory_bytes=8 << 30, disk_bytes=1 << 35)
RELEASE = ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database(new_place(request.param, tmp_path))
    DeviceStore(opened).add_simulated([Device(f"pi-{number}", "rpi5", {"simulated": "yes", "site": "lyon"}, NOW) for number in range(3)])
    yield opened
    opened.close()


def say(database: Database, device: str, leaf: str, message: Message, at: datetime) -> None:
    UplinkStore(database, timedelta(days=30)).save([Heard(device, leaf, message, at)])


def birth(sequence: int, at: datetime, *, online: bool = True) -> Birth:
    return Birth(
        session="a" * 16, sequence=sequence, sent_at=at, online=online, agent_version="0.2", hardware="rpi5", targets=("rpi5", "cpu"),
        runtimes={"onnx": "1.18"}, machine=MACHINE,
    )  # fmt: skip


def health(sequence: int, at: datetime, free_bytes: int) -> Health:
    return Health(
        session="a" * 16, sequence=sequence, sent_at=at, uptime_s=1, cpu_percent=1, memory_used_bytes=1, memory_total_bytes=4,
        disk_free_bytes=free_bytes, disk_total_bytes=1000,
    )  # fmt: skip


def reported(sequence: int, at: datetime) -> Reported:
    models = {"digits": ModelReport(phase=Phase.COMMITTED, current=RELEASE)}
    return Reported(session="a" * 16, sequence=sequence, sent_at=at, generation=1, models=models)


def test_what_devices_say_is_in_the_next_answer_and_the_rest_stays_as_it_was(database: Database) -> None:
    roster = Roster(database)
    assert [device.status(NOW) for device in roster.inventories(NOW)] == ["new"] * 3

    later = NOW + timedelta(seconds=60)
    say(database, "pi-1", "birth", birth(1, later), later)
    say(database, "pi-1", "reported", reported(2, later), later)
    say(database, "pi-1", "health", health(3, later, 900), later)
    first, second, third = roster.inventories(later)

    assert (first.id, first.agent, third.last_seen) == ("pi-0", None, None)
    assert (second.agent, second.running, second.status(later)) == ("0.2", {"digits": RELEASE}, "healthy")
    assert second.vitals is not None
    assert second.vitals.free_disk_bytes == 900

    # One that came late and is stamped earlier is found all the same.
    say(database, "pi-0", "birth", birth(1, NOW), later - timedelta(seconds=2))
    say(database, "pi-1", "health", health(4, later, 100), later + timedelta(milliseconds=1))
    first, second, _ = roster.inventories(later)
    assert first.agent == "0.2"
    assert second.vitals is not None
    assert second.vitals.free_disk_bytes == 100


def test_a_list_may_be_a_little_old_and_a_label_that_changed_outdates_it(database: Database) -> None:
    roster, devices = Roster(database), DeviceStore(database)
    roster.inventories(NOW)
    soon, age = NOW + timedelta(seconds=1), timedelta(seconds=2)

    devices.relabel({"pi-0": None}, {"site": "oslo"}, ())

    assert [device.labels["site"] for device in roster.inventories(soon, age)] == ["lyon"] * 3
    roster.outdate()
    assert [device.labels["site"] for device in roster.inventories(soon, age)] == ["oslo", "lyon", "lyon"]
    devices.relabel({"pi-1": None}, {"site": "oslo"}, ())
    assert [device.labels["site"] for device in roster.inventories(soon)] == ["oslo", "oslo", "lyon"]


def test_labels_change_all_or_none_and_only_as_they_were_seen(database: Database) -> None:
    devices = DeviceStore(database)
    seen = version_of({"simulated": "yes", "site": "lyon"})

    assert devices.relabel({"pi-0": seen, "pi-1": None}, {"room": "5"}, ("site",)) == ("pi-0", "pi-1")
    assert devices.relabel({"pi-1": None, "pi-2": None}, {"room": "5"}, ("site",)) == ("pi-2",)

    with pytest.raises(StaleVersionError, match="labels of device pi-0: expected version"):
        devices.relabel({"pi-2": None, "pi-0": seen}, {"room": "6"}, ())
    with pytest.raises(UnknownDeviceError):
        devices.relabel({"pi-2": None, "nobody": None}, {"room": "6"}, ())
    with pytest.raises(LabelsError, match="at most 32 labels"):
        devices.relabel({"pi-2": None}, {f"key_{number}": "1" for number in range(MAX_LABELS)}, ())
    with pytest.raises(LabelsError, match="who is played"):
        devices.relabel({"pi-2": None}, {}, ("simulated",))
    assert [device.labels for device in Roster(database).inventories(NOW)] == [{"simulated": "yes", "room": "5"}] * 3


def test_a_group_is_changed_only_by_who_saw_what_it_is(database: Database) -> None:
    store = GroupStore(database)
    query, fixed = SavedQuery(parse_query("label.site = lyon")), FixedGroup(frozenset({"pi-1", "pi-0"}))
    store.put("canaries", fixed, "none")
    store.put("lyon", query, None)

    assert store.all() == {"canaries": fixed, "lyon": query}
    with pytest.raises(StaleVersionError, match="group canaries"):
        store.put("canaries", query, "none")
    store.put("canaries", query, groups.version_of(fixed))
    with pytest.raises(StaleVersionError):
        store.remove("canaries", groups.version_of(fixed))
    assert store.get("canaries") == query
    store.remove("canaries", None)
    for missing in (lambda: store.get("canaries"), lambda: store.remove("canaries", None)):
        with pytest.raises(UnknownGroupError):
            missing()
    with pytest.raises(UnknownDeviceError):
        store.put("strangers", FixedGroup(frozenset({"nobody"})), None)
