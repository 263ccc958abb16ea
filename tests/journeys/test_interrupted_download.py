"""A download that is interrupted again and again: by the end of the agent, the broker, the server or the link, at random moments."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts import codec
from contracts.bundle import file_entry
from contracts.chunks import CHUNK_BYTES, chunk_count
from fleet.south.rules import FLEET_USER
from tests.live.authority import authority, file_of
from tests.live.mosquitto import Mosquitto
from tests.sim.relay import Relay

ROOT = Path(__file__).parents[2]
DEVICE = "pi-1"
# How often a chunk may come, on average.
MAX_TIMES = 1.02
WAIT_S, END_S = 150.0, 60.0


class Scene:
    """A file on a server, and a device that fetches it over a link that can be cut."""

    def __init__(self, folder: Path, chunks: int, bytes_per_s: float) -> None:
        """Write the file."""
        raw = os.urandom(chunks * CHUNK_BYTES - 1000)
        self.entry = file_entry(raw)
        self.folder = folder
        self.bytes_per_s = bytes_per_s
        place = folder / "artifacts" / self.entry.sha256[:2] / self.entry.sha256
        place.parent.mkdir(parents=True)
        place.write_bytes(raw)
        (folder / "entry.json").write_bytes(codec.encode(self.entry))
        self.broker = Mosquitto(folder / "broker")
        self.broker.start()
        self.relay = Relay(self.broker.port)
        self.fleet = self._start_fleet()
        self.device = self._start_device()

    def interrupt(self, kind: str) -> None:
        """Let one thing happen."""
        if kind == "agent":
            self.device.kill()
            self.device.wait(END_S)
            self.device = self._start_device()
        elif kind == "broker":
            self.broker.stop()
            self.broker.start()
        elif kind == "server":
            self.fleet.kill()
            self.fleet.wait(END_S)
            self.fleet = self._start_fleet()
        else:
            self.relay.cut(0.2)

    def wait_for_chunks(self, count: int) -> None:
        """Wait until so many different chunks have come."""
        end_s = time.monotonic() + WAIT_S
        while self.chunks() < count:
            assert time.monotonic() < end_s, f"nothing came any more; the log says: {(self.folder / 'log').read_text()[-2000:]}"
            time.sleep(0.001)

    def chunks(self) -> int:
        """Return how many different chunks the device wrote, by its own bitmap."""
        bitmap = self.folder / DEVICE / f"{self.entry.sha256}.bitmap"
        return int.from_bytes(bitmap.read_bytes(), "little").bit_count() if bitmap.exists() else 0

    def close(self) -> None:
        """End what runs."""
        for process in (self.device, self.fleet):
            process.kill()
            process.wait(END_S)
        self.relay.close()
        self.broker.stop()

    def _start_fleet(self) -> subprocess.Popen[bytes]:
        papers = (str(authority().certificate_file), str(file_of(FLEET_USER)))
        where = (str(self.broker.port), str(self.folder / "artifacts"), str(self.bytes_per_s))
        return self._start("tests.sim.delivery_process", *where, *papers)

    def _start_device(self) -> subprocess.Popen[bytes]:
        papers = {"authority": str(authority().certificate_file), "identities": {DEVICE: str(file_of(DEVICE))}}
        login = {"host": "127.0.0.1", "port": self.relay.port, **papers}
        order = {**login, "folder": str(self.folder), "devices": [DEVICE], "entries": [str(self.folder / "entry.json")]}
        process = self._start("tests.sim.download_process", stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(f"{json.dumps(order)}\ngo\n".encode())
        process.stdin.close()
        return process

    def _start(self, module: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", module, *arguments]
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=stdin, stdout=log, stderr=log)


@contextmanager
def scene(folder: Path, chunks: int, bytes_per_s: float) -> Iterator[Scene]:
    """Run a scene."""
    found = Scene(folder, chunks, bytes_per_s)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize(
    ("interruptions", "chunks", "bytes_per_s"),
    [(15, 250, 10e6), pytest.param(200, 2000, 3e6, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
)
def test_a_download_that_is_interrupted_comes_whole_and_hardly_a_chunk_twice(
    tmp_path: Path, interruptions: int, chunks: int, bytes_per_s: float
) -> None:
    chance = random.Random(7)
    with scene(tmp_path, chunks, bytes_per_s) as running:
        # Given a download on its way
        # When it is interrupted, at random moments
        kinds = [kind for _ in range(-(-interruptions // 4)) for kind in chance.sample(["agent", "broker", "server", "link"], 4)]
        moments = sorted(chance.sample(range(1, chunks - 1), interruptions))
        for kind, moment in zip(kinds, moments, strict=False):
            running.wait_for_chunks(moment)
            time.sleep(chance.uniform(0, 0.02))
            running.interrupt(kind)
        # Then it comes to its end
        assert running.device.wait(300) == 0, (tmp_path / "log").read_text()[-2000:]
        file = tmp_path / DEVICE / running.entry.sha256
        with file.open("rb") as stream:
            assert codec.sha256_of_stream(stream) == running.entry.sha256
        # And the device received hardly a chunk twice
        assert running.chunks() == chunk_count(running.entry.bytes) == chunks
        received = (tmp_path / f"{DEVICE}.tally").stat().st_size
        assert chunks <= received <= MAX_TIMES * chunks
