"""Listens to the broker: the one place where a command of the fleet speaks MQTT."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts import codec, topics
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, Birth, Health
from fleet.connection import BrokerLogin
from fleet.errors.client import BrokerUnknownError, BrokerUnreachableError

CONNECT_S = 10.0
KEEPALIVE_S = 15
# What may wait between the network and the terminal; more is counted and dropped.
MAX_WAITING = 10_000
MESSAGES: dict[str, type[Birth] | type[Health]] = {"birth": Birth, "health": Health}


@dataclass(frozen=True)
class Heard:
    """One message from a device."""

    device: str
    message: Birth | Health
    at: datetime


class Listener:
    """A subscription to births and health, whose messages wait in a bounded queue."""

    def __init__(self, broker: BrokerLogin, devices: Sequence[str]) -> None:
        """Nothing is opened yet; without names it is about every device."""
        self._broker = broker
        names = [(device, leaf) for device in devices for leaf in MESSAGES]
        filters = [topics.of_device(*name) for name in names] or [topics.of_every_device(leaf) for leaf in MESSAGES]
        self._filters = [(filter_, 0) for filter_ in filters]
        self._waiting: queue.Queue[Heard] = queue.Queue(MAX_WAITING)
        self._answer: queue.Queue[str] = queue.Queue(1)
        self.is_up = False
        # Messages that were no health or birth, and those that came faster than they could be shown.
        self.unreadable = 0
        self.dropped = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.tls_set_context(_context(broker))
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    @contextmanager
    def open(self) -> Iterator[None]:
        """Connect, and again whenever the link is lost; raise BrokerUnreachableError if it never was."""
        address = f"{self._broker.host}:{self._broker.port}"
        try:
            self._client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
        except OSError as error:
            raise BrokerUnreachableError(address, error.strerror or str(error)) from error
        self._client.loop_start()
        try:
            if refusal := self._first_answer():
                raise BrokerUnreachableError(address, refusal)
            yield
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def take(self, wait_s: float) -> Iterator[Heard]:
        """Yield what waits, after waiting for a first message for at most `wait_s`."""
        try:
            yield self._waiting.get(timeout=wait_s)
            for _ in range(self._waiting.qsize()):
                yield self._waiting.get_nowait()
        except queue.Empty:
            return

    def _first_answer(self) -> str:
        try:
            return self._answer.get(timeout=CONNECT_S)
        except queue.Empty:
            return f"no answer within {CONNECT_S:g} s"

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None) -> None:
        self.is_up = not reason.is_failure
        if self.is_up:
            client.subscribe(self._filters)
        if self._answer.empty():
            self._answer.put_nowait(f"the refusal “{reason}”" if reason.is_failure else "")

    def _on_disconnect(self, *_facts: object) -> None:
        self.is_up = False

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        heard = read_message(message.topic, bytes(message.payload), is_retained=message.retain)
        if heard is None:
            self.unreadable += 1
            return
        try:
            self._waiting.put_nowait(heard)
        except queue.Full:
            self.dropped += 1


def _context(broker: BrokerLogin) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=broker.authority)
        context.load_cert_chain(broker.identity)
    except OSError as error:
        raise BrokerUnknownError(str(broker.identity)) from error
    return context


def read_message(topic: str, raw: bytes, *, is_retained: bool) -> Heard | None:
    """Return a birth or health message; None for anything that is not what the contract says."""
    uplink = topics.parse_uplink(topic)
    if uplink is None or uplink.leaf not in MESSAGES:
        return None
    try:
        message = codec.decode(MESSAGES[uplink.leaf], raw, name=topic, max_bytes=MAX_MESSAGE_BYTES)
    except ContractError:
        return None
    now = datetime.now(timezone.utc)
    # A retained word was spoken long ago; only the device knows when.
    return Heard(uplink.device, message, min(now, message.sent_at) if is_retained else now)
