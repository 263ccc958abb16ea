"""What gates are told of candidates in shadow, on both kinds of database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contracts.messages import InferenceWindow, ReleaseRef, latency_of
from contracts.shadow import ShadowPart, joined_part
from contracts.sketches import Sketch
from fleet.core.devices import Device
from fleet.core.enrolment import Issued
from fleet.core.freshness import Heard
from fleet.store.credentials import CredentialStore
from fleet.store.database import Database
from fleet.store.shadows import ShadowStore
from fleet.store.uplinks import UplinkStore
from tests.fleet.databases import KINDS, new_place

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
LIVE = ReleaseRef(model="digits", release=1, manifest_sha256="1" * 64)
CANDIDATE, OTHER = "2" * 64, "3" * 64


def part(manifest_sha256: str, compared: int) -> ShadowPart:
    return ShadowPart(
        manifest_sha256=manifest_sha256, compared=compared, agreed=compared - 1, errors=1, dropped=2, paused_s=0.5, scored=compared,
        shift=-0.25, shift_squares=0.5, latencies=Sketch.of({300: compared}), live_latencies=Sketch.of({200: compared}),
    )  # fmt: skip


def heard(device: str, sequence: int, shadow: ShadowPart | None, at: datetime = NOW) -> Heard:
    sketch = Sketch.of({200: 5})
    window = InferenceWindow(
        session="a" * 16, sequence=sequence, sent_at=at, release=LIVE, started_at=at, window_s=10, requests=5, errors=0,
        latency_ms=latency_of(sketch, 1, 9), latencies=sketch, ordinal=sequence, shadow=shadow,
    )  # fmt: skip
    return Heard(device, "inference", window, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_what_devices_told_of_one_candidate_is_summed_once_and_forgotten_in_time(kind: str, tmp_path: Path) -> None:
    # Given windows of two devices, some told twice, of two candidates, of now and of yesterday
    database = Database(new_place(kind, tmp_path))
    for number in (1, 2):
        issued = Issued("a certificate", f"{number:x}", "0" * 64, NOW, NOW + timedelta(days=1))
        CredentialStore(database).admit(Device(f"pi-{number}", "rpi5", {}, NOW), "enrolment-secret", issued)
    uplinks, shadows = UplinkStore(database, timedelta(days=30)), ShadowStore(database)
    batch = [
        heard("pi-1", 1, part(CANDIDATE, 7), NOW - timedelta(days=1)),
        heard("pi-1", 2, part(CANDIDATE, 10)),
        heard("pi-1", 3, None),
        heard("pi-1", 4, part(CANDIDATE, 20)),
        heard("pi-2", 1, part(OTHER, 30)),
    ]
    uplinks.save(batch)
    uplinks.save(batch[1:3])
    since = NOW - timedelta(hours=1)
    # When they are asked for, then all that was told since then counts once
    found = shadows.shadows_since(("pi-1", "pi-2"), CANDIDATE, since, with_latencies=True)
    assert found == {"pi-1": joined_part(part(CANDIDATE, 10), part(CANDIDATE, 20))}
    # And readers are told the same, of the newest windows, up to a rollout's end
    assert shadows.newest(CANDIDATE, since, None) == found
    assert shadows.newest(CANDIDATE, since, since) == {}
    bare = shadows.shadows_since(("pi-1", "pi-2"), OTHER, since, with_latencies=False)
    assert (bare["pi-2"].compared, bare["pi-2"].latencies.count) == (30, 0)
    # And windows that are old are gone, with what they told of candidates
    uplinks.prune(NOW + timedelta(days=31))
    assert shadows.shadows_since(("pi-1", "pi-2"), CANDIDATE, since, with_latencies=False) == {}
    database.close()
