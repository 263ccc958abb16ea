"""Speaks MQTT 5 with paho, for all but files: a link that reconnects, a bounded inbox, publications that wait for their acknowledgement."""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.mqtt_reasons import FAILURE, TAKEN, completed, words
from fleet.errors.server import LinkDownError, MessagesRefusedError
from fleet.own_lines import line_name
from fleet.south.refusals import FIRST_S, LONGEST_S, Refusals

KEEPALIVE_S = 15
ACK_TIMEOUT_S = 10.0
# How long the broker keeps what devices say while our link is down.
SESSION_EXPIRY_S = 3600
INBOX_MESSAGES = 5000
# Longer than this the network thread must not wait for a full inbox: it also answers pings.
INBOX_PATIENCE_S = 5.0
MAX_UNACKNOWLEDGED = 1000
# Packets by which a broker refuses.
ANSWERS = (PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.UNSUBACK, PacketTypes.DISCONNECT)

log = logging.getLogger("fleet.mqtt")


class Received(NamedTuple):
    """One message, as it came."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Login:
    """Where to connect, and the PEM files by which both sides know each other."""

    host: str
    port: int
    authority: Path
    # Key and certificate; its name is the user's.
    identity: Path

    def context(self) -> ssl.SSLContext:
        """Return what every connection is made with."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.identity)
        return context

    def client_id(self, line: str) -> str:
        """Return a name for one of our connections that no device can guess."""
        return f"{line}-{line_name(self.identity)}"


class MqttLink:
    """One connection to the broker, kept up by a thread of its own."""

    def __init__(self, login: Login, line: str, subscriptions: Sequence[str], inbox_messages: int = INBOX_MESSAGES) -> None:
        """Prepare; nothing is sent before `open`."""
        self._login = login
        self._subscriptions = subscriptions
        self._inbox: queue.Queue[Received] = queue.Queue(inbox_messages)
        self._connections = 0
        self._up = threading.Event()
        self.dropped = 0
        # Reason codes of what the broker refused, by paho's number of the message, until they are raised.
        self._refused: dict[int, int] = {}
        self._refusals = Refusals(time.monotonic)
        # What is to be subscribed to yet, how long to wait before that is asked again, and until when.
        self._missing: list[str] = []
        self._ask_pause_s = self._ask_s = 0.0
        ReasonCode.names = completed(ReasonCode.names, ANSWERS)
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=login.client_id(line), protocol=MQTTv5)
        self._client.tls_set_context(login.context())
        self._client.max_queued_messages_set(MAX_UNACKNOWLEDGED)
        self._client.reconnect_delay_set(1, 8)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_answer
        self._client.on_subscribe = self._on_subscribed

    def open(self) -> None:
        """Connect in the background, and again whenever the link is lost."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left this one untyped
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        self._client.connect_async(self._login.host, self._login.port, keepalive=KEEPALIVE_S, clean_start=False, properties=properties)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_up(self) -> bool:
        """Say whether the broker is there."""
        return self._up.is_set()

    @property
    def connections(self) -> int:
        """Return how often the link came up; when it grows, the broker may have forgotten what it retained."""
        return self._connections

    def take(self, limit: int, timeout_s: float) -> list[Received]:
        """Return what arrived, waiting up to `timeout_s` for the first message."""
        self._ask_again()
        taken: list[Received] = []
        try:
            taken.append(self._inbox.get(timeout=timeout_s))
            while len(taken) < limit:
                taken.append(self._inbox.get_nowait())
        except queue.Empty:
            pass  # that was all
        return taken

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        """Publish with QoS 1 and wait until the broker has them all.

        Raises LinkDownError; MessagesRefusedError where it has all but those that it refused.
        """
        held = {topic: reason for topic, _ in messages if (reason := self._refusals.held(topic)) is not None}
        pending = [self._begin(topic, payload, retain=retain) for topic, payload in messages if topic not in held]
        try:
            for sent in pending:
                _finish(*sent)
        finally:
            refused = self._note(pending)
        if refused or held:
            raise MessagesRefusedError({**refused, **held}, is_news=bool(refused))

    def _note(self, answered: Sequence[tuple[str, MQTTMessageInfo]]) -> dict[str, int]:
        """Remember what was refused, and return it."""
        reasons = {topic: self._refused.pop(info.mid, TAKEN) for topic, info in answered}
        for topic, reason in reasons.items():
            if reason >= FAILURE:
                self._refusals.add(topic, reason)
            else:
                self._refusals.take(topic)
        return {topic: reason for topic, reason in reasons.items() if reason >= FAILURE}

    def _begin(self, topic: str, payload: bytes, *, retain: bool) -> tuple[str, MQTTMessageInfo]:
        if not self.is_up:
            raise LinkDownError(topic, "the link is down")
        return topic, self._client.publish(topic, payload, qos=1, retain=retain)

    def _on_connect(
        self, client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("broker refused the connection: %s", reason)
            return
        self._missing, self._ask_pause_s = list(self._subscriptions), 0.0
        if self._missing:
            client.subscribe([(topic, 1) for topic in self._missing])
        self._connections += 1
        self._up.set()

    def _on_disconnect(
        self, _client: Client, _userdata: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._up.clear()
        if reason.is_failure:
            log.warning("broker link lost: %s", reason)

    def _on_answer(self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties | None) -> None:
        # Said before whoever waits for the answer is told that there is one.
        self._refused.pop(mid, None)
        if reason.is_failure:
            self._refused[mid] = int(reason.value)

    def _on_subscribed(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [int(reason.value) for reason in reasons if reason.is_failure]
        self._missing = [each for each, reason in zip(self._missing, reasons, strict=False) if reason.is_failure]
        self._ask_pause_s = min(2 * self._ask_pause_s or FIRST_S, LONGEST_S) if refused else 0.0
        self._ask_s = time.monotonic() + self._ask_pause_s
        if refused:
            log.warning("the broker refuses to send %s: %s", self._missing[0], words(refused[0]))

    def _ask_again(self) -> None:
        """Ask anew for what was refused, when it is time."""
        if self._ask_pause_s and time.monotonic() >= self._ask_s and self.is_up:
            self._ask_s = time.monotonic() + LONGEST_S
            self._client.subscribe([(topic, 1) for topic in self._missing])

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            self._inbox.put(Received(message.topic, bytes(message.payload)), timeout=INBOX_PATIENCE_S)
        except queue.Full:
            self.dropped += 1
            log.warning("inbox full: %d messages dropped so far", self.dropped)


def _finish(topic: str, info: MQTTMessageInfo) -> None:
    try:
        info.wait_for_publish(ACK_TIMEOUT_S)
    except (ValueError, RuntimeError) as error:
        raise LinkDownError(topic, str(error)) from error
    if not info.is_published():
        raise LinkDownError(topic, f"nothing within {ACK_TIMEOUT_S:g} s")
