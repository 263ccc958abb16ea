"""Takes in what devices say: validates it, keeps it in batches, sets aside what is poison, and only then acknowledges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from contracts import codec
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, UPLINK_MESSAGES, Message
from contracts.mqtt_stream import Delivery
from contracts.topics import UPLINKS, of_every_device, parse_uplink
from fleet.core.freshness import Heard, Refused
from fleet.errors.store import StoreError
from fleet.south.poison import Poison
from fleet.south.quick_read import QuickReader

# A commit ends with so many messages, or so long after the first of them.
BATCH_MESSAGES = 8000
LINGER_S = 0.2
PATIENCE_S = 0.25
# Of a message that was refused, so much is kept to look at.
HEAD_BYTES = 2048
# Delivery listens to `want` and renewals to `renew` on lines of their own; here they only count as having come.
TOPICS = tuple(of_every_device(leaf) for leaf in UPLINKS)

# The most frequent and largest of all messages; the others go back into the database as documents.
QUICK: dict[str, Callable[[bytes], Message | None]] = {leaf: QuickReader(UPLINK_MESSAGES[leaf]).read for leaf in ("inference",)}
# A device speaks on few topics, again and again.
TOPICS_REMEMBERED = 1 << 15

log = logging.getLogger("fleet.ingest")
# Takes half the time of a call of the class.
_heard: Callable[[tuple[str, str, Message, datetime]], Heard] = partial(tuple.__new__, Heard)


class Line(Protocol):
    """A source that sends again what was not settled."""

    def take(self, limit: int, timeout_s: float, linger_s: float) -> list[Delivery]:
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

    def _hear(self, batch: Sequence[Delivery]) -> None:
        now, keep = self._now(), self._unsaved.append
        for topic, payload, _ in batch:
            device, leaf, quick = _route(topic)
            message = quick(payload) if quick is not None and len(payload) <= MAX_MESSAGE_BYTES else None
            if message is not None:
                keep(_heard((device, leaf, message, now)))
                continue
            try:
                keep(read_uplink(topic, payload, now))
            except ContractError as error:
                self._poison.add(topic, str(error))
                self._refused.append(Refused(device, leaf, now, str(error), len(payload), payload[:HEAD_BYTES]))


def read_uplink(topic: str, payload: bytes, now: datetime) -> Heard:
    """Read one message by its contract; raise InvalidDocumentError or TooLargeError."""
    device, leaf, _ = _route(topic)
    return Heard(device, leaf, codec.decode(UPLINK_MESSAGES[leaf], payload, name=topic, max_bytes=MAX_MESSAGE_BYTES), now)


class _Route(NamedTuple):
    """Who speaks on a topic of what, and its quick reader where there is one."""

    device: str
    leaf: str
    quick: Callable[[bytes], Message | None] | None


@lru_cache(TOPICS_REMEMBERED)
def _route(topic: str) -> _Route:
    uplink = parse_uplink(topic)
    assert uplink is not None, "subscriptions match uplinks only"
    return _Route(uplink.device, uplink.leaf, QUICK.get(uplink.leaf))
