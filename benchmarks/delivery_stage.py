"""Sets the stage of the delivery benchmark: files, the fleet's broker and delivery loop, nginx beside them, and programs that download."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from benchmarks import delay_link
from contracts import codec
from contracts.chunks import CHUNK_BYTES
from contracts.codec import sha256_of
from contracts.manifest import FileEntry
from fleet.south.rules import FLEET_USER
from tests.live.authority import authority, file_of, server_identity
from tests.live.ports import free_port
from tests.sim.control import ROOT

MB = 1_000_000
DEVICES = tuple(f"pi-{number}" for number in range(20))
PROCESSES = 4
LONGEST_S = 600.0


@dataclass(frozen=True)
class Run:
    """One transfer to one or many devices."""

    bytes_per_s: float
    broker_cpu_s_per_mb: float = math.nan
    device_cpu_s_per_mb: float = math.nan
    peak_bytes: int = 0


class Program:
    """A part of the benchmark in a process of its own: it reads an order, says `ready`, goes on at the next line, and ends with JSON."""

    def __init__(self, module: str, order: dict[str, Any], start: Callable[..., Any] = subprocess.Popen) -> None:
        """Start it; `start` takes Popen's arguments."""
        command = [sys.executable, "-m", module]
        self.process = start(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._tell(json.dumps(order))
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        """Let it go on."""
        self._tell("go")

    def result(self) -> dict[str, Any]:
        """Wait for its last words."""
        timer = threading.Timer(LONGEST_S, self.process.kill)
        timer.start()
        with self.process:
            words = self.process.stdout.readline()
            self.process.wait(60)
        timer.cancel()
        assert words, "a part of the benchmark failed"
        found: dict[str, Any] = json.loads(words)
        return found

    def _tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@dataclass(frozen=True)
class Stage:
    """Files on a server, and the ports they are had from."""

    folder: Path
    mqtt_port: int
    http_port: int
    broker: psutil.Process

    def by_mqtt(self, entries: Sequence[Path], host: str = "127.0.0.1", start: Callable[..., Any] = subprocess.Popen) -> Run:
        """Let as many devices as there are entries fetch them."""
        began_s = cpu_s(self.broker)
        login = {"host": host, "port": self.mqtt_port}
        run = self._run("tests.sim.download_process", entries, login, start)
        megabytes = sum(size_of(entry) for entry in entries) / MB
        return replace(run, broker_cpu_s_per_mb=(cpu_s(self.broker) - began_s) / megabytes)

    def by_http(self, entries: Sequence[Path]) -> Run:
        """Download the same from nginx."""
        return self._run("benchmarks.peers.http_download", entries, {"port": self.http_port}, subprocess.Popen)

    def by_https(self, entry: Path) -> Run:
        """Let one device fetch it from nginx, by the same downloader that fetches from the broker."""
        return self._run("tests.sim.download_process", [entry], {"url": f"https://127.0.0.1:{self.http_port}"}, subprocess.Popen)

    def _run(self, module: str, entries: Sequence[Path], order: dict[str, Any], start: Callable[..., Any]) -> Run:
        shares = [range(first, len(entries), PROCESSES) for first in range(min(PROCESSES, len(entries)))]
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            programs = []
            for number, share in enumerate(shares):
                folder = Path(name) / str(number)
                folder.mkdir()
                mine = {"folder": str(folder), "entries": [str(entries[i]) for i in share], "devices": [DEVICES[i] for i in share]}
                programs.append(Program(module, {**papers(), **order, **mine}, start))
            for program in programs:
                program.go()
            found = [program.result() for program in programs]
        took_s = max(each["ended_s"] for each in found) - min(each["began_s"] for each in found)
        size = sum(size_of(entry) for entry in entries)
        device_cpu_s_per_mb = sum(each["cpu_s"] for each in found) / size * MB
        return Run(size / took_s, math.nan, device_cpu_s_per_mb, max(each.get("peak_bytes", 0) for each in found))


@cache
def papers() -> dict[str, Any]:
    """Return the files by which broker, fleet, devices and nginx know each other; everything speaks TLS."""
    return {
        "authority": str(authority().certificate_file),
        "server": str(server_identity("127.0.0.1", "localhost", delay_link.HERE)),
        "own": str(file_of(FLEET_USER)),
        "revoked": authority().revocation_list((), datetime.now(timezone.utc)).decode(),
        "identities": {device: str(file_of(device)) for device in DEVICES},
    }


@contextlib.contextmanager
def stage(folder: Path, host: str) -> Iterator[Stage]:
    """Run the fleet's broker and delivery, and nginx beside it, on the files of a folder."""
    mqtt_port, http_port = free_port(), free_port()
    fleet = Program("benchmarks.delivery_fleet", {**papers(), "folder": str(folder), "host": host, "port": mqtt_port})
    with nginx(folder, http_port):
        (broker,) = (child for child in psutil.Process(fleet.process.pid).children(recursive=True) if child.name() == "mosquitto")
        try:
            yield Stage(folder, mqtt_port, http_port, broker)
        finally:
            fleet.go()
            print(f"fleet's peak memory: {fleet.result()['peak_bytes'] / MB:.0f} MB")


@contextlib.contextmanager
def nginx(folder: Path, port: int) -> Iterator[None]:
    """Serve the artifacts by digest."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert program is not None, "nginx is not installed; run: sudo apt-get install --no-install-recommends nginx-light"
    temporary = "".join(f"{kind}_temp_path {folder}/nginx-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.log; events {{}}\n"
        f"http {{ access_log off; sendfile on; tcp_nopush on; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port} ssl; root {folder}/http;\n"
        f"ssl_certificate {papers()['server']}; ssl_certificate_key {papers()['server']}; }} }}\n"
    )
    process = subprocess.Popen([program, "-c", str(config), "-e", f"{folder}/nginx.log"])
    time.sleep(0.5)
    assert process.poll() is None, "nginx ended"
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def stored(folder: Path, size: int) -> Path:
    """Put a random file where both servers find it; return the file that describes it."""
    (folder / "http").mkdir(exist_ok=True)
    beside = folder / "http" / "new"
    chunks = []
    with beside.open("wb") as stream:
        for start in range(0, size, CHUNK_BYTES):
            chunk = os.urandom(min(CHUNK_BYTES, size - start))
            chunks.append(sha256_of(chunk))
            stream.write(chunk)
    with beside.open("rb") as stream:
        digest = codec.sha256_of_stream(stream)
    place = folder / "artifacts" / digest[:2] / digest
    place.parent.mkdir(parents=True, exist_ok=True)
    beside.replace(folder / "http" / digest)
    os.link(folder / "http" / digest, place)
    described = folder / f"{digest}.json"
    described.write_bytes(codec.encode(FileEntry(sha256=digest, bytes=size, chunks=tuple(chunks))))
    return described


def size_of(entry: Path) -> int:
    """Return the bytes that an entry describes."""
    return int(json.loads(entry.read_text())["bytes"])


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
