"""Takes in what devices say: validates it, keeps it in batches, sets aside what is poison, and only then acknowledges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from contracts import codec
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, UPLINK_MESSAGES, Message
from contracts.topics import UPLINKS, of_every_device, parse_uplink
from fleet.core.freshness import Heard, Refused
from fleet.errors.store import StoreError
from fleet.south.mqtt import Received
from fleet.south.poison import Poison
from fleet.south.quick_read import QuickReader

# A commit ends with so many messages, or so long after the first of them.
BATCH_MESSAGES = 4000
LINGER_S = 0.2
PATIENCE_S = 0.25
# Of a message that was refused, so much is kept to look at.
HEAD_BYTES = 2048
# Delivery listens to `want` and renewals to `renew` on lines of their own; here they only count as having come.
TOPICS = tuple(of_every_device(leaf) for leaf in UPLINKS)

# The most frequent and largest of all messages; the others go back into the database as documents.
QUICK: dict[str, Callable[[bytes], Message | None]] = {leaf: QuickReader(UPLINK_MESSAGES[leaf]).read for leaf in ("inference",)}

log = logging.getLogger("fleet.ingest")
# A device speaks on few topics, again and again.
_parse = lru_cache(1 << 15)(parse_uplink)


class Source(Protocol):
    """Where messages come from."""

    def take(self, limit: int, timeout_s: float) -> list[Received]:
        """Return what arrived, waiting up to `timeout_s` for the first message."""


class Line(Protocol):
    """A source that sends again what was not settled."""

    def take(self, limit: int, timeout_s: float, linger_s: float) -> list[Received]:
        """Return what arrived, waiting `timeout_s` for the first message and then `linger_s` for more."""

    def settle(self) -> None:
        """Acknowledge all that was taken."""


class Sink(Protocol):
    """Where they go."""

    def save(self, batch: Sequence[Heard], refused: Sequence[Refused]) -> tuple[str, ...]:
        """Keep a batch whole; return the senders that are no devices of this fleet."""


class Ingest:
    """The loop from broker to database; `now` gives aware UTC."""

    def __init__(self, line: Line, sink: Sink, now: Callable[[], datetime]) -> None:
        """Nothing is read before `turn`."""
        self._line = line
        self._sink = sink
        self._now = now
        self._unsaved: list[Heard] = []
        self._refused: list[Refused] = []
        self._poison = Poison(log)

    def turn(self) -> None:
        """Take one batch in; one that the store refused is tried again before anything else is read."""
        if not self._unsaved and not self._refused:
            self._hear(self._line.take(BATCH_MESSAGES, PATIENCE_S, LINGER_S))
        if not self._unsaved and not self._refused:
            return
        try:
            unknown = self._sink.save(self._unsaved, self._refused)
        except StoreError as error:
            log.warning("%d messages wait: %s", len(self._unsaved), error)
            return
        self._unsaved, self._refused = [], []
        self._line.settle()
        for device in unknown:
            self._poison.add(device, "no device of this fleet")

    def _hear(self, batch: Sequence[Received]) -> None:
        now, heard = self._now(), self._unsaved.append
        for received in batch:
            try:
                heard(read_uplink(received, now))
            except ContractError as error:  # noqa: PERF203 - one message's fault is not the others'
                self._poison.add(received.topic, str(error))
                uplink = _parse(received.topic)
                assert uplink is not None, "subscriptions match uplinks only"
                head = received.payload[:HEAD_BYTES]
                self._refused.append(Refused(uplink.device, uplink.leaf, now, str(error), len(received.payload), head))


def read_uplink(received: Received, now: datetime) -> Heard:
    """Validate one message; raise InvalidDocumentError or TooLargeError."""
    uplink = _parse(received.topic)
    assert uplink is not None, "subscriptions match uplinks only"
    device, leaf = uplink.device, uplink.leaf
    payload = received.payload
    read = QUICK.get(leaf)
    if read is not None and len(payload) <= MAX_MESSAGE_BYTES:
        message = read(payload)
        if message is not None:
            return Heard(device, leaf, message, now)
    return Heard(device, leaf, codec.decode(UPLINK_MESSAGES[leaf], payload, name=received.topic, max_bytes=MAX_MESSAGE_BYTES), now)
