"""A small fleet over a real broker: real TUF metadata, a real director's key, chunks on demand; can be told to misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from contracts import codec
from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_count
from contracts.commands import COMMAND_PAYLOAD_TYPE, Command, CommandResult
from contracts.configuration import Configuration
from contracts.downlinks import ShadowWish
from contracts.messages import UPLINK_MESSAGES, Birth, DeviceEvent, Message, ModelReport, Reported, Want
from contracts.shadow import ShadowTerms
from contracts.topics import (
    PREFIX,
    Uplink,
    of_chunk,
    of_command,
    of_device,
    of_every_device,
    of_trust_file,
    parse_result,
    parse_uplink,
    result_leaf,
)
from fleet.south.rules import FLEET_USER
from tests.live.authority import context_of, file_of
from tests.sim.releases import Release
from tests.sim.repository import Repository
from tests.sim.signed import envelope, sealed, wish_for

Heard = TypeVar("Heard", bound=Message)
BROKER_S = 60.0
# Verifiers, builders and workers that prepare stand behind everybody else who wants the cores.
LATE_S = 240.0
# A topic of the fleet's own, to which nobody listens.
NOTHING = f"{PREFIX}/{FLEET_USER}/nothing"


@dataclass
class SimFleet:
    """The fleet's side of the broker; misbehaves only where a test sets it to."""

    port: int
    repository: Repository = field(default_factory=Repository)
    # How many of the next chunks go out with a flipped byte.
    chunks_to_flip: int = 0
    # How many chunks go out that never went out before.
    chunks_to_deliver: int = 1_000_000
    heard: list[tuple[str, Message]] = field(default_factory=list)
    _stored: dict[str, bytes] = field(default_factory=dict)
    _delivered: set[tuple[str, int]] = field(default_factory=set)
    # What went out in each round of a device's download.
    _sent: dict[tuple[str, str, int | None], set[int]] = field(default_factory=dict)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _listening: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=FLEET_USER, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.tls_set_context(context_of(file_of(FLEET_USER)))
        self._client.on_connect = lambda client, *_: _subscribe(client)
        self._client.on_subscribe = lambda *_: self._listening.set()
        self._client.on_disconnect = lambda *_: self._listening.clear()
        self._client.on_message = lambda _c, _u, message: self._hear(message.topic, bytes(message.payload))
        self._client.reconnect_delay_set(1, 1)

    def start(self) -> None:
        """Connect, and come back whenever the broker does."""
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        self.wait_until_listening()

    def wait_until_listening(self) -> None:
        """Wait until nothing that devices say is missed."""
        end_s = time.monotonic() + BROKER_S
        while not self._is_heard():
            assert time.monotonic() < end_s, "the fleet did not reach the broker"

    def _is_heard(self) -> bool:
        """Say whether a word comes through: that a broker has ended is noticed some time after."""
        if not self._listening.wait(0.1):
            return False
        try:
            self._send(NOTHING, b"", retain=False)
        except RuntimeError:  # the connection has just gone
            return False
        return self._listening.is_set()

    def stop(self) -> None:
        """Disconnect, once all that the broker has taken by now was heard."""
        if self._listening.is_set():
            self._send(NOTHING, b"", retain=False)
        self._client.disconnect()
        self._client.loop_stop()

    def release(self, *releases: Release, sources: tuple[str, ...] = ()) -> None:
        """Hold releases for delivery, list them with the servers that they name, and publish the metadata."""
        for release in releases:
            self.hold(release)
            self.repository.list(release, sources)
        self.publish_trust()

    def hold(self, release: Release) -> None:
        """Be able to deliver a release."""
        for raw in (codec.encode(release.manifest), *release.files.values()):
            self._stored[codec.sha256_of(raw)] = raw

    def publish_trust(self) -> None:
        """Publish all metadata, retained."""
        for name, raw in self.repository.files.items():
            self.publish(of_trust_file(name), raw)

    def wish(self, device: str, generation: int, *releases: Release, configuration: Configuration | None = None) -> bytes:
        """Sign and publish what a device shall run, and how it shall be set; return the message."""
        raw = envelope(wish_for(device, generation, releases, configuration=configuration), self.repository.director)
        self.publish(of_device(device, "desired"), raw)
        return raw

    def shadow(self, device: str, generation: int, live: Release, candidate: Release, terms: ShadowTerms) -> None:
        """Sign and publish that one release shall serve, and another one run beside it."""
        shadow = {candidate.manifest.name: ShadowWish(release=candidate.ref, terms=terms)}
        self.publish(of_device(device, "desired"), envelope(wish_for(device, generation, (live,), shadow=shadow), self.repository.director))

    def command(self, command: Command) -> bytes:
        """Sign and publish a command; return the message."""
        raw = sealed(command, COMMAND_PAYLOAD_TYPE, self.repository.director)
        self.tell(of_command(command.device, command.id), raw)
        return raw

    def tell(self, topic: str, raw: bytes) -> None:
        """Publish a message that is for those who listen now."""
        self._send(topic, raw, retain=False)

    def publish(self, topic: str, raw: bytes) -> None:
        """Publish a retained message."""
        self._send(topic, raw, retain=True)

    def _send(self, topic: str, raw: bytes, *, retain: bool) -> None:
        sent = self._client.publish(topic, raw, qos=1, retain=retain)
        sent.wait_for_publish(BROKER_S)
        assert sent.is_published(), f"the broker did not take what was said on {topic}"

    def wait_for(
        self, kind: type[Heard], device: str, is_so: Callable[[Heard], bool], *, timeout_s: float = LATE_S, since: int = 0
    ) -> Heard:
        """Return the first message that is so, heard after message number `since`, now or within `timeout_s`."""
        end_s = time.monotonic() + timeout_s
        with self._news:
            while True:
                for name, message in self.heard[since:]:
                    if name == device and isinstance(message, kind) and is_so(message):
                        return message
                if not self._news.wait(end_s - time.monotonic()) and time.monotonic() >= end_s:
                    found = [(type(message).__name__, message.model_dump(exclude={"machine"})) for _, message in self.heard[-8:]]
                    raise AssertionError(f"no such {kind.__name__} in {timeout_s} s; heard last: {found}")

    def wait_for_model(
        self, device: str, is_so: Callable[[ModelReport], bool], *, model: str = "digits", since: int = 0, timeout_s: float = LATE_S
    ) -> ModelReport:
        """Return the first report of a model that is so."""

        def is_heard(said: Reported) -> bool:
            return model in said.models and is_so(said.models[model])

        return self.wait_for(Reported, device, is_heard, since=since, timeout_s=timeout_s).models[model]

    def wait_for_birth(self, device: str, *, online: bool, since: int = 0) -> Birth:
        """Return the first birth, or last will."""
        return self.wait_for(Birth, device, lambda birth: birth.online is online, since=since)

    def wait_for_refusal(self, device: str, refusal: str, *, since: int) -> DeviceEvent:
        """Return the event that names the class of an attack."""
        return self.wait_for(DeviceEvent, device, lambda event: event.kind == "refused" and event.facts["class"] == refusal, since=since)

    def all(self, kind: type[Heard], *, since: int = 0) -> list[Heard]:
        """Return every message of a kind."""
        with self._news:
            return [message for _, message in self.heard[since:] if isinstance(message, kind)]

    @property
    def mark(self) -> int:
        """How many messages were heard, to be given as `since`; what the broker has taken by now, and is on its way, is among them."""
        if self._listening.is_set():
            self._send(NOTHING, b"", retain=False)
        with self._news:
            return len(self.heard)

    def _hear(self, topic: str, payload: bytes) -> None:
        found = parse_uplink(topic) or parse_result(topic)
        if found is None:
            return
        kind = UPLINK_MESSAGES[found.leaf] if isinstance(found, Uplink) else CommandResult
        message = kind.model_validate_json(payload)
        with self._news:
            self.heard.append((found.device, message))
            self._news.notify_all()
        if isinstance(message, Want):
            self._deliver(message)

    def _deliver(self, want: Want) -> None:
        raw = self._stored[want.digest]
        assert want.bytes == len(raw)
        sent = self._sent.setdefault((want.session, want.digest, want.round), set())
        missing = list(Bitmap.from_hex(chunk_count(len(raw)), want.bitmap))
        credit = want.window - len(sent.intersection(missing))
        for index in [index for index in missing if index not in sent][: max(credit, 0)]:
            sent.add(index)
            if (want.digest, index) not in self._delivered:
                if self.chunks_to_deliver <= 0:
                    return
                self.chunks_to_deliver -= 1
                self._delivered.add((want.digest, index))
            chunk = raw[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
            if self.chunks_to_flip > 0:
                self.chunks_to_flip -= 1
                chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
            self._client.publish(of_chunk(want.digest, index), chunk, qos=1)


def _subscribe(client: paho.Client) -> None:
    client.subscribe([(of_every_device(leaf), 1) for leaf in (*UPLINK_MESSAGES, result_leaf("+"))])
