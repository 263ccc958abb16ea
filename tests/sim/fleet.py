"""A small fleet over a real broker: real TUF metadata, a real director's key, chunks on demand; can be told to misbehave."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pydantic import BaseModel
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from contracts import codec
from contracts.bundle import file_entry
from contracts.chunks import CHUNK_BYTES, Bitmap, chunk_count
from contracts.commands import COMMAND_PAYLOAD_TYPE, Command, CommandResult, Order
from contracts.configuration import Configuration
from contracts.manifest import Artifact, GateEvidence, Manifest, Tolerance
from contracts.messages import UPLINK_MESSAGES, Birth, Desired, DeviceEvent, Message, ModelReport, ReleaseRef, Reported, ShadowWish, Want
from contracts.preprocess import Preprocess
from contracts.shadow import ShadowTerms
from contracts.tensors import TensorSpec
from contracts.topics import (
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
from contracts.trust import DESIRED_PAYLOAD_TYPE, DIRECTOR_TARGET, ISSUED_AT, SOURCES, DirectorKeys, ReleaseTarget, release_target_path
from fleet.south.rules import FLEET_USER
from tests.live.authority import authority, context_of, file_of, identity_of

Heard = TypeVar("Heard", bound=Message)
Kind = TypeVar("Kind", Root, Snapshot, Targets, Timestamp)
LIFE = timedelta(days=1)
ROLES = ("root", "targets", "snapshot", "timestamp")


@dataclass(frozen=True)
class Release:
    """A release as the fleet holds it."""

    manifest: Manifest
    files: dict[str, bytes]

    @property
    def ref(self) -> ReleaseRef:
        """Its identity."""
        return ReleaseRef(model=self.manifest.name, release=self.manifest.release, manifest_sha256=self.manifest.sha256)


def make_release(number: int, *, model: str = "digits", targets: tuple[str, ...] = ("cpu",), size: int = 600_000) -> Release:
    """Return a release of no real model; its bytes differ with its number."""
    tensor = TensorSpec(name="x", datatype="FP32", shape=(1, 4))
    files = {"golden/inputs.npz": b"inputs", **{f"artifacts/{target}/golden.npz": b"outputs" for target in targets}}
    files |= {f"artifacts/{target}/model.onnx": (f"{model} {number} {target} ".encode() * size)[:size] for target in targets}
    gate = GateEvidence(
        metric="accuracy", float_value=1, compiled_value=1, drop=0, drop_upper=0, max_drop=0.01, samples=100, verdict="proven"
    )
    artifacts = {
        target: Artifact(
            runtime="onnx",
            precision="int8",
            file=f"artifacts/{target}/model.onnx",
            inputs=(tensor,),
            outputs=(tensor,),
            golden_outputs=f"artifacts/{target}/golden.npz",
            tolerance=Tolerance(absolute=0.1, same_argmax=True),
            gate=gate,
        )
        for target in targets
    }
    manifest = Manifest(
        name=model,
        release=number,
        inputs=(tensor,),
        preprocess=Preprocess(),
        golden_inputs="golden/inputs.npz",
        artifacts=artifacts,
        files={path: file_entry(raw) for path, raw in files.items()},
    )
    return Release(manifest, files)


class Repository:
    """A TUF repository in memory, all keys at hand."""

    def __init__(self) -> None:
        """Make keys and the first metadata."""
        self.keys = {role: CryptoSigner.generate_ed25519() for role in ROLES}
        self.director = CryptoSigner.generate_ed25519()
        self.version = 0
        self.targets: dict[str, TargetFile] = {}
        self.files: dict[str, bytes] = {}
        self.root_version = 1
        self.root = self._sign_root(_later(), self.keys["root"])
        self.name_director(self.director)

    def rotate(self, *roles: str, expires: datetime | None = None) -> None:
        """Replace keys by a new root that old and new root keys sign, and sign everything below it anew."""
        old = self.keys["root"]
        self.keys |= {role: CryptoSigner.generate_ed25519() for role in roles}
        self.root_version += 1
        self._sign_root(expires or _later(), old, self.keys["root"])
        self.sign(expires)

    def name_director(self, director: CryptoSigner) -> None:
        """List a director's key, in place of the one before."""
        self.director, key = director, director.public_key
        self.files[DIRECTOR_TARGET] = codec.encode(DirectorKeys(keys={key.keyid: key.to_dict()}))
        self.targets[DIRECTOR_TARGET] = TargetFile.from_data(DIRECTOR_TARGET, self.files[DIRECTOR_TARGET], ["sha256"])
        self.sign()

    def _sign_root(self, expires: datetime, *signers: CryptoSigner) -> bytes:
        root = Root(version=self.root_version, expires=expires, consistent_snapshot=True)
        for role, signer in self.keys.items():
            root.add_key(signer.public_key, role)
        raw = self.files[f"{self.root_version}.root.json"] = _signed(root, *signers)
        return raw

    def list(self, release: Release, sources: tuple[str, ...] = ()) -> None:
        """Add a release, and the servers that it names."""
        path = release_target_path(release.manifest.name, release.manifest.release)
        target = TargetFile.from_data(path, codec.encode(release.manifest), ["sha256"])
        custom = ReleaseTarget(model=release.manifest.name, release=release.manifest.release, targets=tuple(release.manifest.artifacts))
        target.unrecognized_fields["custom"] = custom.model_dump(mode="json")
        if sources:
            target.unrecognized_fields[SOURCES] = list(sources)
        self.targets[path] = target
        self.sign()

    def sign(self, expires: datetime | None = None, issued_at: datetime | None = None) -> None:
        """Sign everything below root anew; the timestamp says when only if it is told to."""
        self.version += 1
        version, expires = self.version, expires or _later()
        targets = _signed(Targets(version=version, expires=expires, targets=self.targets), self.keys["targets"])
        snapshot = _signed(
            Snapshot(version=version, expires=expires, meta={"targets.json": MetaFile(version=version)}), self.keys["snapshot"]
        )
        meta = MetaFile.from_data(version, snapshot, ["sha256"])
        issued = {} if issued_at is None else {ISSUED_AT: issued_at.isoformat()}
        timestamp = _signed(
            Timestamp(version=version, expires=expires, snapshot_meta=meta, unrecognized_fields=issued), self.keys["timestamp"]
        )
        self.files |= {f"{version}.targets.json": targets, f"{version}.snapshot.json": snapshot, "timestamp.json": timestamp}


def envelope(desired: Desired, signer: CryptoSigner) -> bytes:
    """Sign a wish."""
    return sealed(desired, DESIRED_PAYLOAD_TYPE, signer)


def sealed(document: BaseModel, payload_type: str, signer: CryptoSigner) -> bytes:
    """Sign any document."""
    signed = Envelope(codec.encode(document), payload_type, {})
    signed.sign(signer)
    return codec.canonical(signed.to_dict())


def command_for(device: str, order: Order, *, expires_in: timedelta = timedelta(minutes=5), now: datetime | None = None) -> Command:
    """Return an unsigned command; one that has ended was issued in time."""
    now = now or datetime.now(timezone.utc)
    issued_at = min(now, now + expires_in - timedelta(minutes=1))
    number = secrets.token_hex(16)
    return Command(id=number, device=device, asker="anna", issued_at=issued_at, expires_at=now + expires_in, order=order)


def wish_for(
    device: str,
    generation: int,
    releases: tuple[Release, ...],
    *,
    expires_in: timedelta = LIFE,
    now: datetime | None = None,
    configuration: Configuration | None = None,
    shadow: dict[str, ShadowWish] | None = None,
) -> Desired:
    """Return an unsigned wish."""
    now = now or datetime.now(timezone.utc)
    models = {release.manifest.name: release.ref for release in releases}
    expires_at = now + expires_in
    stamps = {"device": device, "generation": generation, "issued_at": now, "expires_at": expires_at}
    return Desired(**stamps, models=models, configuration=configuration, shadow=shadow)


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
        assert self._listening.wait(10), "the fleet did not reach the broker"

    def stop(self) -> None:
        """Disconnect."""
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
        self._client.publish(topic, raw, qos=1).wait_for_publish(10)

    def publish(self, topic: str, raw: bytes) -> None:
        """Publish a retained message."""
        self._client.publish(topic, raw, qos=1, retain=True).wait_for_publish(10)

    def wait_for(self, kind: type[Heard], device: str, is_so: Callable[[Heard], bool], *, timeout_s: float = 60, since: int = 0) -> Heard:
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
        self, device: str, is_so: Callable[[ModelReport], bool], *, model: str = "digits", since: int = 0, timeout_s: float = 60
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
        """How many messages were heard, to be given as `since`."""
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


def write_device(folder: Path, device: str, fleet: SimFleet, *, hardware: str = "cpu", serve_port: int, probation_s: float = 0.5) -> Path:
    """Provision a device; return its agent.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "root.json").write_bytes(fleet.repository.root)
    (folder / "ca.pem").write_text(authority().pem)
    (folder / "identity.pem").write_text(identity_of(device))
    lines = [
        "[device]",
        f'id = "{device}"',
        f'hardware = "{hardware}"',
        "[broker]",
        'host = "127.0.0.1"',
        f"port = {fleet.port}",
        "keepalive_s = 2",
        "[serve]",
        f"port = {serve_port}",
        "[telemetry]",
        "health_interval_s = 0.5",
        "window_s = 0.5",
        "[update]",
        f"probation_s = {probation_s}",
    ]
    file = folder / "agent.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def _subscribe(client: paho.Client) -> None:
    client.subscribe([(of_every_device(leaf), 1) for leaf in (*UPLINK_MESSAGES, result_leaf("+"))])


def _later() -> datetime:
    return (datetime.now(timezone.utc) + LIFE).replace(microsecond=0)


def _signed(document: Kind, *signers: CryptoSigner) -> bytes:
    metadata = Metadata(document)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()
