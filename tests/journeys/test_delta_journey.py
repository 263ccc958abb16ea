"""A second release of a model costs a device what changed in it: real server, broker and agent, bytes counted on the wire."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.enrolment import Order, enrol
from contracts import codec
from contracts.bundle import file_entry
from contracts.chunks import CHUNK_BYTES
from contracts.downlinks import Offer
from contracts.lifecycle import Phase
from contracts.manifest import FileEntry, Manifest
from contracts.messages import Reported
from contracts.topics import of_device, parse_chunk
from fleet.store.artifacts import ArtifactStore
from fleet.store.deltas import DeltaStore, Finding
from tests.fleet.broker_client import Listener, Login
from tests.fleet.server import ROOT, FleetProcess, environment, wait_for
from tests.live.ports import free_port
from tests.sim.tiny_release import MODEL, TinyRelease

# Twelve chunks of weights that do not change.
CARGO = random.Random(1).randbytes(12 * CHUNK_BYTES)
FILE = "artifacts/cpu/model.onnx"
SETTINGS = ("telemetry.health_interval_s=1", "update.probation_s=0.2")


@contextmanager
def agent(fleet: FleetProcess, name: str) -> Iterator[None]:
    """Enrol a device and run its agent."""
    folder = fleet.folder.parent / name
    settings = dict(setting.split("=") for setting in (*SETTINGS, f"serve.port={free_port()}"))
    enrol(Order(fleet.tls_url, fleet.token(name), None, settings, folder))
    command = [sys.executable, "-m", "cli", "agent", "run", "--config", str(folder / "agent.toml")]
    with (folder / "agent.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(fleet.folder), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        finally:
            process.kill()
    assert "Traceback" not in (folder / "agent.log").read_text()


def add_release(fleet: FleetProcess, release: TinyRelease) -> Manifest:
    """Sign a release and hand it in."""
    folder = fleet.folder.parent / f"release-{release.release}"
    manifest = release.write(folder)
    fleet.ask("release", "add", str(folder))
    return manifest


def tells_of_commit(raw: bytes, release: int) -> bool:
    """Say whether a device reports that it took a release for good."""
    model = Reported.model_validate_json(raw).models.get(MODEL)
    return model is not None and model.phase is Phase.COMMITTED and model.current is not None and model.current.release == release


def roll_out(fleet: FleetProcess, device: str) -> dict[str, int]:
    """Bring the newest release to a device; return what was published of each file meanwhile, in bytes."""
    newest = max(int(folder.name.removeprefix("release-")) for folder in fleet.folder.parent.glob("release-*"))
    with Listener(Login.of_viewer(fleet)) as listener:
        done = fleet.ask("rollout", "start", MODEL, "--to", f"id = {device}", "--wait")
        assert done["counts"] == {"committed": 1}
        # What was published before this word of the device has been heard before it
        wait_for(lambda: any(tells_of_commit(raw, newest) for raw in listener.heard(of_device(device, "reported"))))
        published: dict[str, int] = {}
        for topic in listener.topics():
            chunk = parse_chunk(topic)
            if chunk is not None:
                published[chunk.digest] = published.get(chunk.digest, 0) + sum(map(len, listener.heard(topic)))
        return published


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetProcess]:
    """A server of the test's own, with release 1 of a large model."""
    with FleetProcess(tmp_path / "home") as running:
        add_release(running, TinyRelease(release=1, cargo=CARGO))
        yield running


def test_a_device_that_holds_the_last_release_fetches_what_changed_and_a_new_one_fetches_all(fleet: FleetProcess) -> None:
    with agent(fleet, "pi-1"), agent(fleet, "pi-2"):
        assert roll_out(fleet, "pi-1")[file_of(1, fleet).sha256] >= len(CARGO)
        entry = add_release(fleet, TinyRelease(release=2, seed=8, cargo=CARGO)).files[FILE]

        by_delta = roll_out(fleet, "pi-1")
        whole = roll_out(fleet, "pi-2")

    assert entry.sha256 not in by_delta
    assert sum(by_delta.values()) < entry.bytes / 100
    assert whole[entry.sha256] >= entry.bytes


def test_a_delta_that_leads_elsewhere_is_refused_and_the_whole_file_is_fetched(fleet: FleetProcess) -> None:
    with agent(fleet, "pi-1"):
        roll_out(fleet, "pi-1")
        entry = add_release(fleet, TinyRelease(release=2, seed=8, cargo=CARGO)).files[FILE]
        spoilt = b"ffd1" + random.Random(2).randbytes(50_000)
        offer_spoilt(fleet, file_of(1, fleet).sha256, entry.sha256, spoilt)

        published = roll_out(fleet, "pi-1")

    assert published[codec.sha256_of(spoilt)] >= len(spoilt)
    assert published[entry.sha256] >= entry.bytes
    assert "delta" in (fleet.folder.parent / "pi-1" / "agent.log").read_text()


def test_a_file_that_has_nothing_of_the_last_one_is_sent_whole(fleet: FleetProcess) -> None:
    with agent(fleet, "pi-1"):
        roll_out(fleet, "pi-1")
        other = TinyRelease(release=2, seed=8, cargo=random.Random(3).randbytes(len(CARGO)))
        entry = add_release(fleet, other).files[FILE]
        assert roll_out(fleet, "pi-1")[entry.sha256] >= entry.bytes


def file_of(release: int, fleet: FleetProcess) -> FileEntry:
    """Describe the model's file in a release."""
    return file_entry((fleet.folder.parent / f"release-{release}" / FILE).read_bytes())


def offer_spoilt(fleet: FleetProcess, base: str, target: str, delta: bytes) -> None:
    """Make the server believe that it made this delta."""
    artifacts = ArtifactStore((fleet.folder / "artifacts").as_uri())
    incoming = artifacts.receive(codec.sha256_of(delta), len(delta))
    incoming.write(delta)
    incoming.finish()
    store = DeltaStore((fleet.folder / "artifacts" / "deltas").as_uri(), artifacts)
    store.keep(base, target, Finding(offer=Offer(base=base, target=target, delta=file_entry(delta))))
