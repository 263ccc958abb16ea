"""The viewer's ear: everything that the broker lets the read-only user hear."""

from __future__ import annotations

import threading
from types import TracebackType

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.fleet.server import FleetProcess


class Listener:
    """`with` connects it."""

    def __init__(self, fleet: FleetProcess) -> None:
        """Take the viewer's login from the server's connection file."""
        self._login = fleet.connection["broker"]
        self._messages: dict[str, list[bytes]] = {}
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.username_pw_set(self._login["username"], self._login["password"])
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def __enter__(self) -> Listener:
        self._client.connect(self._login["host"], self._login["port"])
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def heard(self, topic: str) -> list[bytes]:
        """Return what came on a topic."""
        return list(self._messages.get(topic, []))

    def payloads(self) -> set[bytes]:
        """Return what came on any topic."""
        return {payload for payloads in self._messages.values() for payload in payloads}

    def publish(self, topic: str, payload: bytes) -> None:
        """Try to say something."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def _on_connect(self, client: Client, _user: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None) -> None:
        client.subscribe("ff/v1/#", qos=1)
        self._subscribed.set()

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        self._messages.setdefault(message.topic, []).append(bytes(message.payload))
