"""A device of the fleet without a model runtime: real MQTT, real checks of signatures and digests, a fate that tests choose."""

from __future__ import annotations

import json
import queue
import secrets
import ssl
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Key
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from contracts import codec
from contracts.agent_config import AgentConfig
from contracts.chunks import Bitmap, chunk_count
from contracts.downlinks import Desired
from contracts.lifecycle import Phase
from contracts.manifest import Manifest, decode_manifest
from contracts.messages import Birth, DeviceEvent, Health, Machine, Message, ModelReport, Outcome, ReleaseRef, Reported, Want
from contracts.topics import TRUST, of_chunks, of_device, of_own_chunks, parse_chunk, parse_trust_file
from contracts.trust import DESIRED_PAYLOAD_TYPE, DIRECTOR_TARGET, DirectorKeys, release_target_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Fate = Literal["commit", "roll_back", "reject", "fail", "stay_silent"]

DISCONNECT_WITH_WILL = 0x04
WINDOW = 8
SILENCE_S = 2.0
PATIENCE_S = 120.0
RESULTS = {"commit": Phase.COMMITTED, "roll_back": Phase.ROLLED_BACK, "reject": Phase.REJECTED, "fail": Phase.FAILED}


class SimDevice:
    """One device, made from the folder that `fieldfare agent enroll` wrote; `with` connects it."""

    def __init__(self, folder: Path, *, fate: Fate = "commit") -> None:
        """Read the folder."""
        config = AgentConfig.model_validate(tomllib.loads((folder / "agent.toml").read_text()))
        self.id = config.device.id
        self.fate: Fate = fate
        self.session = secrets.token_hex(8)
        self.models: dict[str, ModelReport] = {}
        self.generation = 0
        self.problems: list[str] = []
        self.received_chunks = 0
        self._round = 0
        self._config = config
        self._folder = folder
        self._sequence = 0
        self._trust: dict[str, bytes] = {}
        self._chunks: queue.Queue[tuple[str, int, bytes]] = queue.Queue()
        self._work: queue.Queue[bytes | None] = queue.Queue()
        self._envelope = b""
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sim-{self.id}")
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"sim-{self.id}", protocol=MQTTv5)
        context = ssl.create_default_context(cafile=folder / config.broker.ca_file)
        context.load_cert_chain(folder / config.broker.identity_file)
        self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def __enter__(self) -> SimDevice:
        will = codec.encode(self._birth(online=False))
        self._client.will_set(of_device(self.id, "birth"), will, qos=1, retain=True)
        self._client.connect(self._config.broker.host, self._config.broker.port, keepalive=self._config.broker.keepalive_s)
        self._client.loop_start()
        self._thread.start()
        assert self._connected.wait(PATIENCE_S), f"{self.id} was not let in"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._work.put(None)
        self._thread.join(PATIENCE_S)
        # Leaving is no reason to be thought online: the broker is asked to publish the will.
        self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=DISCONNECT_WITH_WILL))
        self._client.loop_stop()

    def drop_dead(self) -> None:
        """Lose the connection without a farewell, so that the broker sends the will."""
        connection = self._client.socket()
        assert connection is not None
        self._client.loop_stop()
        connection.close()

    def publish(self, leaf: str, message: Message, *, qos: int = 1, retain: bool = False) -> None:
        """Publish under the device's own name."""
        self._client.publish(of_device(self.id, leaf), codec.encode(message), qos=qos, retain=retain)

    def publish_raw(self, leaf: str, payload: bytes) -> None:
        """Publish anything under the device's own name, and wait for the broker's answer."""
        self._client.publish(of_device(self.id, leaf), payload, qos=1, retain=True).wait_for_publish(PATIENCE_S)

    def send_health(self) -> None:
        """Publish one health message."""
        self.publish(
            "health",
            Health(**self._stamp(), uptime_s=1, cpu_percent=25, memory_used_bytes=1, memory_total_bytes=4, disk_free_bytes=3,
                   disk_total_bytes=4, temperature_c=48.5),
        )  # fmt: skip

    def send_event(self, text: str) -> DeviceEvent:
        """Publish one event and return it."""
        event = DeviceEvent(**self._stamp(), kind="link", severity="info", text=text)
        self.publish("event", event)
        return event

    def _stamp(self) -> dict[str, object]:
        self._sequence += 1
        return {"session": self.session, "sequence": self._sequence, "sent_at": datetime.now(timezone.utc)}

    def _birth(self, *, online: bool) -> Birth:
        device = self._config.device
        machine = Machine(architecture="aarch64", system="sim", python="3.11", cpu_count=4, memory_bytes=8 << 30, disk_bytes=32 << 30)
        return Birth(**self._stamp(), online=online, agent_version="0", hardware=device.hardware, targets=device.targets,
                     runtimes={"onnx": "1.0"}, machine=machine, labels=device.labels)  # fmt: skip

    def _on_connect(self, client: Client, _user: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        if reason.is_failure:
            self.problems.append(str(reason))
            return
        client.subscribe([(f"{TRUST}/#", 1), (of_device(self.id, "desired"), 1)])
        self.publish("birth", self._birth(online=True), retain=True)
        self._report()
        self._connected.set()

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        if name := parse_trust_file(message.topic):
            self._trust[name] = payload
            self._work.put(self._envelope)
        elif chunk := parse_chunk(message.topic):
            self.received_chunks += 1
            self._chunks.put((chunk.digest, chunk.index, payload))
        else:
            self._envelope = payload
            self._work.put(payload)

    def _run(self) -> None:
        while (envelope := self._work.get()) is not None:
            try:
                desired = self._verified(envelope)
            except (RepositoryError, DownloadError) as error:
                self.problems.append(f"{type(error).__name__}: {error}")
                continue
            if desired is not None and desired.generation > self.generation:
                self._obey(desired)

    def _verified(self, envelope: bytes) -> Desired | None:
        if not envelope or "timestamp.json" not in self._trust:
            return None
        self._updater = trust_updater(self._folder, self._trust)
        keys = self._updater.get_targetinfo(DIRECTOR_TARGET)
        assert keys is not None
        keys.verify_length_and_hashes(self._trust[DIRECTOR_TARGET])
        director = DirectorKeys.model_validate_json(self._trust[DIRECTOR_TARGET])
        signed = Envelope.from_dict(json.loads(envelope))
        signed.verify([Key.from_dict(key_id, dict(key)) for key_id, key in director.keys.items()], 1)
        assert signed.payload_type == DESIRED_PAYLOAD_TYPE
        desired = Desired.model_validate_json(signed.payload)
        assert desired.device == self.id
        return desired

    def _obey(self, desired: Desired) -> None:
        listed = {model: self._updater.get_targetinfo(release_target_path(model, ref.release)) for model, ref in desired.models.items()}
        if any(target is None for target in listed.values()):
            return  # the newer list is still on its way
        self.generation = desired.generation
        for model, ref in desired.models.items():
            target = listed[model]
            assert target is not None
            assert target.hashes["sha256"] == ref.manifest_sha256
            self._update(ref, target.length)
        self._report()

    def _update(self, ref: ReleaseRef, manifest_bytes: int) -> None:
        old = self.models.get(ref.model)
        if old is not None and old.current == ref:
            self.models[ref.model] = ModelReport(phase=Phase.COMMITTED, current=ref, last=old.last)
            return
        if self.fate == "stay_silent":
            return
        result = RESULTS[self.fate]
        current = old.current if old else None
        if result in (Phase.COMMITTED, Phase.ROLLED_BACK):
            self._say(ref, ModelReport(phase=Phase.FETCHING, progress=0.5, current=current, candidate=ref))
            self._fetch_all(ref, manifest_bytes)
            for phase in (Phase.STAGING, Phase.TESTING, Phase.SWITCHING, Phase.PROBATION):
                self._say(ref, ModelReport(phase=phase, current=current, candidate=ref))
        reason = "" if result is Phase.COMMITTED else f"the simulator was told to {self.fate}"
        outcome = Outcome(release=ref, result=result, reason=reason, at=datetime.now(timezone.utc))
        running = ref if result is Phase.COMMITTED else current
        self._say(ref, ModelReport(phase=result, reason=reason, current=running, last=outcome))

    def _fetch_all(self, ref: ReleaseRef, manifest_bytes: int) -> Manifest:
        manifest = decode_manifest(self._fetch(ref.manifest_sha256, manifest_bytes))
        target = manifest.first_target_of(self._config.device.targets, ("onnx",))
        assert target is not None
        for path in manifest.paths_for(target):
            entry = manifest.files[path]
            self._fetch(entry.sha256, entry.bytes)
        return manifest

    def _fetch(self, digest: str, size: int) -> bytes:
        """Ask until every chunk is here, and check the whole."""
        parts: dict[int, bytes] = {}
        topics = [of_chunks(digest), of_own_chunks(self._config.device.id, digest)]
        self._client.subscribe([(topic, 1) for topic in topics])
        self._round += 1
        missing = Bitmap.full(chunk_count(size))
        deadline = datetime.now(timezone.utc).timestamp() + PATIENCE_S
        while len(missing):
            assert datetime.now(timezone.utc).timestamp() < deadline, f"{digest}: {len(missing)} chunks never came"
            bitmap = missing.to_hex()
            self.publish("want", Want(**self._stamp(), digest=digest, bytes=size, bitmap=bitmap, window=WINDOW, round=self._round))
            for _ in range(min(WINDOW, len(missing))):
                try:
                    found, index, payload = self._chunks.get(timeout=SILENCE_S)
                except queue.Empty:
                    self._round += 1
                    break
                if found == digest:
                    parts[index] = payload
                    missing = missing.without(index)
        self._client.unsubscribe(topics)
        raw = b"".join(parts[index] for index in range(chunk_count(size)))
        assert codec.sha256_of(raw) == digest
        return raw

    def _say(self, ref: ReleaseRef, report: ModelReport) -> None:
        self.models[ref.model] = report
        self._report()

    def _report(self) -> None:
        self.publish("reported", Reported(**self._stamp(), generation=self.generation, models=self.models), retain=True)


class _Mirror(FetcherInterface):
    """Gives python-tuf what the broker retained."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = urlsplit(url).path.removeprefix("/")
        if not self._files.get(name):
            raise DownloadHTTPError(f"{name}: not published", 404)
        return iter([self._files[name]])


def trust_updater(folder: Path, files: dict[str, bytes]) -> Updater:
    """Return a TUF client that has verified the files, starting from the root that the device was given."""
    cache = folder / "tuf"
    cache.mkdir(exist_ok=True)
    updater = Updater(str(cache), "mirror:///", fetcher=_Mirror(dict(files)), bootstrap=(folder / "root.json").read_bytes())
    updater.refresh()
    return updater
