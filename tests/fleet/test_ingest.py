"""What ingest does with batches: nothing is acknowledged before it is kept, poison is set aside, and what never came is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contracts import codec
from contracts.messages import MAX_MESSAGE_BYTES, DeviceEvent, Health, InferenceWindow, Message, ReleaseRef, Want, latency_of
from contracts.mqtt_stream import Delivery
from contracts.sketches import Sketch
from contracts.topics import of_device
from fleet.core.devices import Device
from fleet.core.freshness import Heard, Refused
from fleet.core.labels import SIMULATED
from fleet.errors.store import StoreError
from fleet.south.ingest import HEAD_BYTES, Ingest, Sink
from fleet.store.bulk_rows import bulk_rows
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.quarantine import MAX_KEPT_OF_DEVICE
from fleet.store.reader import StoreReader
from fleet.store.series_rows import event_row
from fleet.store.tables import events
from fleet.store.uplinks import UplinkStore
from tests.fleet.databases import postgres

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
STAMP = {"session": "a" * 16, "sent_at": NOW}


class SimLine:
    """A broker's side of a line: it knows what was acknowledged."""

    def __init__(self, *messages: Delivery) -> None:
        self.waiting = list(messages)
        self.unsettled = 0
        self.settled = 0

    def take(self, limit: int, timeout_s: float, linger_s: float) -> list[Delivery]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.unsettled += len(taken)
        return taken

    def settle(self) -> None:
        self.settled += self.unsettled
        self.unsettled = 0


class BusyDisk:
    """A store that refuses as often as it is told to."""

    def __init__(self, behind: Sink, refusals: int) -> None:
        self._behind = behind
        self._refusals = refusals

    def save(self, batch: Sequence[Heard], refused: Sequence[Refused]) -> tuple[str, ...]:
        self._refusals -= 1
        if self._refusals >= 0:
            raise StoreError("fleet.db", "disk full")
        return self._behind.save(batch, refused)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "fleet.db")
    DeviceStore(opened).add_simulated([Device("pi-1", "cpu", SIMULATED, NOW)])
    yield opened
    opened.close()


def store_of(database: Database) -> UplinkStore:
    return UplinkStore(database, timedelta(days=30))


def delivered(leaf: str, payload: bytes) -> Delivery:
    return Delivery(of_device("pi-1", leaf), payload, 1)


def said(leaf: str, message: Message) -> Delivery:
    return delivered(leaf, codec.encode(message))


def event(sequence: int) -> Delivery:
    return said("event", DeviceEvent(sequence=sequence, kind="link", severity="info", text=f"event {sequence}", **STAMP))


def window(sequence: int, ordinal: int, parts: int | None = None) -> Delivery:
    sketch = Sketch.of({400: 5})
    return said(
        "inference",
        InferenceWindow(
            sequence=sequence, release=ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64), started_at=NOW, window_s=10,
            requests=5, errors=0, latency_ms=latency_of(sketch, 1, 9), latencies=sketch, ordinal=ordinal, parts=parts, **STAMP,
        ),
    )  # fmt: skip


def take_in(database: Database, *messages: Delivery) -> SimLine:
    line = SimLine(*messages)
    Ingest(line, store_of(database), lambda: NOW).turn()
    return line


def reader(database: Database) -> StoreReader:
    return StoreReader(database, lambda: NOW)


def test_a_batch_is_acknowledged_once_it_is_kept_and_nothing_is_read_before_that(database: Database) -> None:
    line = SimLine(event(1), event(2))
    loop = Ingest(line, BusyDisk(store_of(database), refusals=2), lambda: NOW)

    loop.turn()
    line.waiting.append(event(3))
    loop.turn()
    assert (line.settled, len(line.waiting)) == (0, 1)

    loop.turn()
    assert (line.settled, len(line.waiting)) == (2, 1)
    loop.turn()
    assert [each.text for each in reader(database).device("pi-1").events] == ["event 3", "event 2", "event 1"]


def test_numbers_that_never_came_are_a_gap_until_they_come(database: Database) -> None:
    take_in(database, event(1), event(2), event(5))
    (gap,) = reader(database).device("pi-1").gaps
    assert (gap.model, gap.newest, gap.lost, gap.missing) == (None, 5, 2, "3-4")

    take_in(database, event(4), event(5), event(3))
    assert reader(database).device("pi-1").gaps == ()


def test_merged_windows_are_no_gap_and_windows_that_are_missing_are_one_of_their_model(database: Database) -> None:
    # Given five windows, of which four became one, while an event came between them
    take_in(database, window(1, 1), event(4), window(6, 5, parts=4), window(6, 5, parts=4))
    assert reader(database).device("pi-1").gaps == ()
    # When the seventh comes without the sixth
    take_in(database, window(8, 7))
    # Then it is missing among the windows, and among all messages
    assert {gap.model: gap.lost for gap in reader(database).device("pi-1").gaps} == {"digits": 1, None: 1}


def test_requests_for_chunks_count_although_they_are_not_kept(database: Database) -> None:
    take_in(database, event(1), said("want", Want(sequence=2, digest="0" * 64, bytes=1, bitmap="80", window=1, **STAMP)), event(3))

    assert reader(database).device("pi-1").gaps == ()


def test_what_makes_no_sense_is_set_aside_with_its_reason_and_holds_up_nobody(database: Database) -> None:
    huge = delivered("event", b"x" * (MAX_MESSAGE_BYTES + 1))
    line = take_in(database, delivered("health", b'{"session": 1}'), event(1), huge)

    assert line.settled == 3
    assert [each.text for each in reader(database).device("pi-1").events] == ["event 1"]
    large, wrong = reader(database).quarantine()
    assert (wrong.device, wrong.leaf, wrong.head, wrong.bytes) == ("pi-1", "health", '{"session": 1}', 14)
    assert "session" in wrong.reason
    assert (large.bytes, len(large.head)) == (MAX_MESSAGE_BYTES + 1, HEAD_BYTES)
    assert reader(database).quarantine(device="pi-2") == ()


def test_a_device_that_only_talks_nonsense_fills_no_more_than_its_share(database: Database) -> None:
    for _ in range(3):
        take_in(database, *(delivered("event", b"%d" % number) for number in range(MAX_KEPT_OF_DEVICE)))

    assert len(reader(database).quarantine(limit=1000)) == MAX_KEPT_OF_DEVICE


def test_a_clock_beyond_all_reason_holds_up_nobody(database: Database) -> None:
    health = Health(
        session="a" * 16, sequence=1, sent_at=NOW, uptime_s=1, cpu_percent=1, memory_used_bytes=1, memory_total_bytes=2, disk_free_bytes=1,
        disk_total_bytes=2,
    )  # fmt: skip
    raw = codec.encode(health).replace(b"2026-01-01T12:00:00Z", b"0001-01-01T00:00:00+23:00")

    take_in(database, delivered("health", raw))
    take_in(database, said("health", health.model_copy(update={"sequence": 2})))

    assert len(reader(database).health("pi-1")) == 2


def copy(database: Database, session: str) -> None:
    row = event_row("pi-1", DeviceEvent(sequence=1, kind="link", severity="info", text="event 1", **STAMP), 0)
    with database.appending() as connection:
        bulk_rows(connection).insert_new(connection, events, [(row[0], session, *row[2:])])


def test_what_a_server_refuses_while_rows_are_copied_is_the_stores_error_and_the_connection_goes_on() -> None:
    opened = Database(postgres().new_database())
    DeviceStore(opened).add_simulated([Device("pi-1", "cpu", SIMULATED, NOW)])

    with pytest.raises(StoreError, match="too long"):
        copy(opened, session="a" * 17)
    copy(opened, session="a" * 16)

    assert [each.text for each in reader(opened).device("pi-1").events] == ["event 1"]
    opened.close()
