"""How the fleet reads what it publishes: a store is asked once for chunks that lie side by side, whoever they are for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from contracts import codec
from contracts.chunks import CHUNK_BYTES, Bitmap
from contracts.messages import Want
from contracts.topics import of_chunk, of_device
from fleet.south.delivery import Delivery
from fleet.south.mqtt import Received
from tests.sim.delivery_process import NoDeltas

RAW = bytes(range(256)) * (10 * CHUNK_BYTES // 256) + b"end"
DIGEST = codec.sha256_of(RAW)


class Store:
    """Holds one file, and remembers what was read."""

    def __init__(self) -> None:
        """Nothing was read."""
        self.reads: list[tuple[int, int]] = []

    def size_of(self, _sha256: str) -> int:
        """Return the file's bytes."""
        return len(RAW)

    def read(self, _sha256: str, start: int, length: int) -> bytes:
        """Return a part."""
        self.reads.append((start, length))
        return RAW[start : start + length]


class Line:
    """A broker that hands over wants and remembers what was published."""

    is_up = True

    def __init__(self, *wants: Received) -> None:
        """Hand over `wants` first."""
        self._wants = list(wants)
        self.published: dict[str, bytes] = {}

    def take(self, _limit: int, _timeout_s: float) -> list[Received]:
        """Return what nobody took."""
        taken, self._wants = self._wants, []
        return taken

    def send(self, messages: Iterable[tuple[str, bytes | memoryview]], _ahead: int) -> None:
        """Publish."""
        self.published |= {topic: bytes(payload) for topic, payload in messages}


def want(device: str, missing: Bitmap) -> Received:
    """Return a device's word that it lacks chunks."""
    stamp = {"session": "f" * 16, "sequence": 1, "sent_at": datetime.now(timezone.utc), "round": 1}
    message = Want.model_validate({**stamp, "digest": DIGEST, "bytes": len(RAW), "bitmap": missing.to_hex(), "window": 32})
    return Received(of_device(device, "want"), codec.encode(message))


def test_chunks_that_lie_side_by_side_are_read_together() -> None:
    # Given a device that lacks all but one chunk of a file
    store, line = Store(), Line(want("pi-1", Bitmap.full(11).without(2)))
    loop = Delivery(line, store, NoDeltas())
    # When all was published
    while len(line.published) < 10:
        loop.turn()
    # Then each chunk was, and the store was asked for what is between gaps and turns
    assert line.published == {
        of_chunk(DIGEST, index): RAW[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES] for index in range(11) if index != 2
    }
    assert store.reads == [(0, 2 * CHUNK_BYTES), (3 * CHUNK_BYTES, 6 * CHUNK_BYTES), (9 * CHUNK_BYTES, CHUNK_BYTES + 3)]
