"""Takes in what devices say: validates it, counts what is poison, and leaves the rest to the store in batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from contracts import codec
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, UPLINK_MESSAGES
from contracts.topics import UPLINKS, of_every_device, parse_uplink
from fleet.core.freshness import Heard
from fleet.errors import StoreError
from fleet.south.mqtt import Received
from fleet.south.poison import Poison

BATCH_MESSAGES = 500
PATIENCE_S = 0.25
# What ingest listens to; delivery listens to `want`, and renewals to `renew`.
TOPICS = tuple(of_every_device(leaf) for leaf in UPLINKS if leaf not in ("want", "renew"))

log = logging.getLogger("fleet.ingest")


class Source(Protocol):
    """Where messages come from."""

    def take(self, limit: int, timeout_s: float) -> list[Received]:
        """Return what arrived, waiting up to `timeout_s` for the first message."""


class Sink(Protocol):
    """Where they go."""

    def save(self, batch: Sequence[Heard]) -> tuple[str, ...]:
        """Keep a batch whole; return the senders that are no devices of this fleet."""


class Ingest:
    """The loop from broker to database; `now` gives aware UTC."""

    def __init__(self, source: Source, sink: Sink, now: Callable[[], datetime]) -> None:
        """Nothing is read before `turn`."""
        self._source = source
        self._sink = sink
        self._now = now
        self._unsaved: list[Heard] = []
        self._poison = Poison(log)

    def turn(self) -> None:
        """Take one batch in; a batch that the store refused is tried again with the next."""
        room = BATCH_MESSAGES - len(self._unsaved)
        for received in self._source.take(room, PATIENCE_S) if room else ():
            self._hear(received)
        if not self._unsaved:
            return
        try:
            unknown = self._sink.save(self._unsaved)
        except StoreError as error:
            log.warning("%d messages wait: %s", len(self._unsaved), error)
            return
        self._unsaved = []
        for device in unknown:
            self._poison.add(device, "no device of this fleet")

    def _hear(self, received: Received) -> None:
        try:
            self._unsaved.append(read_uplink(received, self._now()))
        except ContractError as error:
            self._poison.add(received.topic, str(error))


def read_uplink(received: Received, now: datetime) -> Heard:
    """Validate one message; raise InvalidDocumentError or TooLargeError."""
    uplink = parse_uplink(received.topic)
    assert uplink is not None, "subscriptions match uplinks only"
    message = codec.decode(UPLINK_MESSAGES[uplink.leaf], received.payload, name=received.topic, max_bytes=MAX_MESSAGE_BYTES)
    return Heard(uplink.device, uplink.leaf, message, now)
