"""Plain clients of the fleet's broker: one that listens with a login, and one publication with the broker's own verdict."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.fleet.server import FleetProcess
from tests.live.authority import context_of

ANSWER_S = 60.0
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Login:
    """Where to connect, and the PEM files by which both sides know each other."""

    username: str
    port: int
    authority: Path
    # Key and certificate; None shows none.
    identity: Path | None

    @classmethod
    def of_viewer(cls, fleet: FleetProcess) -> Login:
        """Return what a server left for those who watch."""
        found = fleet.connection["broker"]
        return cls("viewer", found["port"], Path(found["authority"]), Path(found["identity"]))

    @classmethod
    def of_device(cls, fleet: FleetProcess, folder: Path) -> Login:
        """Return what a device was given."""
        return cls(folder.name, fleet.broker_port, folder / "ca.pem", folder / "identity.pem")

    def client(self, client_id: str = "") -> Client:
        """Return a client that is not connected yet."""
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, reconnect_on_failure=False)
        client.tls_set_context(context_of(self.identity, self.authority))
        return client


def verdict_on(login: Login, topic: str) -> str:
    """Publish on a topic and return what the broker says; mosquitto 2.0.11 ends the connection after a refusal."""
    verdicts: queue.Queue[str] = queue.Queue()

    def on_publish(_client: Client, _user: object, _mid: int, reason: ReasonCode, _properties: Properties) -> None:
        verdicts.put(str(reason))

    client = login.client()
    client.on_publish = on_publish
    client.connect(HOST, login.port)
    client.loop_start()
    try:
        client.publish(topic, b"forged", qos=1)
        return verdicts.get(timeout=ANSWER_S)
    finally:
        client.disconnect()
        client.loop_stop()


class Listener:
    """`with` connects it; once the broker consents, it keeps what it is let hear of everything, or of some topics.

    What the broker retains comes in the order of `filters`: a message of a later one says that all of the earlier ones is here.
    """

    def __init__(self, login: Login, *filters: str) -> None:
        """Listen as somebody."""
        self._login = login
        self._filters = filters or ("ff/v1/#",)
        self._messages: dict[str, list[bytes]] = {}
        self._listens = threading.Event()
        self._client = login.client()
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._listens.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Listener:
        self._client.connect(HOST, self._login.port)
        self._client.loop_start()
        assert self._listens.wait(ANSWER_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def heard(self, topic: str) -> list[bytes]:
        """Return what came on a topic."""
        return list(self._messages.get(topic, []))

    def topics(self) -> set[str]:
        """Return every topic on which something came."""
        return set(self._messages)

    def _on_connect(self, client: Client, _user: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None) -> None:
        client.subscribe([(each, 1) for each in self._filters])

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        self._messages.setdefault(message.topic, []).append(bytes(message.payload))
