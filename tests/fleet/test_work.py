"""What gates are told of devices' work, from a real file."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from contracts.messages import InferenceWindow, ReleaseRef, latency_of
from contracts.sketches import Sketch
from fleet.core.devices import Device
from fleet.core.enrolment import Issued
from fleet.core.freshness import Heard
from fleet.core.gates.answers import Answers
from fleet.store.credentials import CredentialStore
from fleet.store.database import Database
from fleet.store.uplinks import UplinkStore
from fleet.store.work import Work, WorkStore

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
NEW, OLD = (ReleaseRef(model="digits", release=number, manifest_sha256=f"{number}" * 64) for number in (2, 1))


def heard(device: str, sequence: int, release: ReleaseRef, bins: dict[int, int], at: datetime = NOW) -> Heard:
    sketch = Sketch.of(bins)
    window = InferenceWindow(
        session="a" * 16, sequence=sequence, sent_at=at, release=release, started_at=at, window_s=10, requests=sketch.count, errors=1,
        latency_ms=latency_of(sketch, 1, 9), latencies=sketch, ordinal=sequence,
        classes={"7": sketch.count - 1, "3": 1}, confidences=Sketch.of({30: sketch.count}),
    )  # fmt: skip
    return Heard(device, "inference", window, NOW)


def test_the_work_of_each_device_under_one_release_is_summed_and_its_latencies_are_merged(tmp_path: Path) -> None:
    # Given windows of three devices: of one release and another, of now and of yesterday
    database = Database(tmp_path / "fleet.db")
    for number in (1, 2, 3):
        issued = Issued("a certificate", f"{number:x}", "0" * 64, NOW, NOW + timedelta(days=1))
        CredentialStore(database).admit(Device(f"pi-{number}", "rpi5", {}, NOW), "enrolment-secret", issued)
    UplinkStore(database, timedelta(days=30)).save(
        [
            heard("pi-1", 1, NEW, {400: 5}, NOW - timedelta(days=1)),
            heard("pi-1", 2, NEW, {400: 5, 500: 1}),
            heard("pi-1", 3, NEW, {400: 2}),
            heard("pi-1", 4, OLD, {400: 70}),
            heard("pi-2", 1, OLD, {400: 9}),
            heard("pi-3", 1, NEW, {600: 3}),
        ]
    )
    # When two of them are asked for
    work = WorkStore(database).work_since(("pi-1", "pi-2"), NEW, NOW - timedelta(hours=1))
    # Then only what they did under the release, and since then, counts
    assert work == {
        "pi-1": Work(requests=8, errors=2, latencies=Sketch.of({400: 7, 500: 1}), answers=Answers({"7": 6, "3": 2}, Sketch.of({30: 8})))
    }
    assert WorkStore(database).work_since((), NEW, NOW) == {}
    database.close()
