"""How fast files reach devices, and at what cost: our downloader and broker beside nginx and a client of one chunk at a time.

Everything runs on one machine, over loopback; the link of 100 ms is made in user space and needs root. nginx must be installed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import statistics
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
from benchmarks.bars import Bar, finish, parser
from contracts import codec
from contracts.chunks import CHUNK_BYTES
from contracts.codec import sha256_of
from contracts.manifest import FileEntry
from fleet.south.rules import FLEET_USER
from tests.live.authority import authority, file_of, server_identity
from tests.live.mosquitto import free_port
from tests.sim.control import ROOT

MB = 1_000_000
DEVICES = tuple(f"pi-{number}" for number in range(20))
PROCESSES = 4
ROUNDS = 3
STOP_AND_WAIT_CHUNKS = 40
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


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--large-mb", type=int, default=2000, help="size of the largest file (default: 2000)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="fieldfare-delivery-") as name:
        folder = Path(name)
        one, *many = (stored(folder, size) for size in (100 * MB, *[16 * MB] * len(DEVICES)))
        with stage(folder, "127.0.0.1") as local:
            found = rounds(local, one, many)
            large = local.by_mqtt([stored(folder, options.large_mb * MB)])
        far, stop_and_wait = over_a_long_link(folder, one)
    rows = [row(name, runs) for name, runs in found.items()]
    rows += [
        row(f"fieldfare, {options.large_mb} MB", [large]),
        row("fieldfare, 100 ms", [far]),
        row("stop-and-wait, 100 ms", [stop_and_wait]),
    ]
    cpu = {name: statistics.median(run.broker_cpu_s_per_mb for run in runs) for name, runs in found.items()}
    bars = [
        Bar("one device / nginx, 100 MB", ratio(found, "fieldfare x1", "nginx x1"), ">=", 1.0, "x"),
        Bar("20 devices / nginx", ratio(found, "fieldfare x20", "nginx x20"), ">=", 1.5, "x"),
        Bar("20 devices / per-device transfer", ratio(found, "fieldfare x20", "per device x20"), ">=", 2.0, "x"),
        Bar("broker CPU / per-device transfer", cpu["fieldfare x20"] / cpu["per device x20"], "<=", 0.3, "x"),
        Bar("100 ms: rate / stop-and-wait", far.bytes_per_s / stop_and_wait.bytes_per_s, ">=", 8.0, "x"),
        Bar(f"{options.large_mb} MB: agent's peak memory", large.peak_bytes / MB, "<=", 60, " MB"),
    ]
    print(shares(cpu["fieldfare x20"], cpu["per device x20"]))
    finish("Delivery", rows, bars, options.json)


def shares(broadcast_s: float, per_device_s: float) -> str:
    """Say what the broker pays for a publication and for a subscriber: one of each per device, or one publication for all devices."""
    publication_s = (per_device_s - broadcast_s) / (1 - 1 / len(DEVICES))
    subscriber_s = per_device_s - publication_s
    least = subscriber_s / per_device_s
    found = f"{1000 * publication_s:.2f} ms/MB for a publication, {1000 * subscriber_s:.2f} ms/MB for each of its subscribers"
    return f"broker CPU: {found}; with ever more devices a broadcast comes down to {least:.2f}x of per-device transfer"


def rounds(local: Stage, one: Path, many: list[Path]) -> dict[str, list[Run]]:
    """Take turns, so that a noisy moment meets everybody."""
    found: dict[str, list[Run]] = {}
    for _ in range(ROUNDS):
        transfers: dict[str, Callable[[], Run]] = {
            "nginx x1": lambda: local.by_http([one]),
            "fieldfare x1": lambda: local.by_mqtt([one]),
            "nginx x20": lambda: local.by_http([many[0]] * len(DEVICES)),
            "fieldfare x20": lambda: local.by_mqtt([many[0]] * len(DEVICES)),
            "per device x20": lambda: local.by_mqtt(many),
        }
        for name, run in transfers.items():
            found.setdefault(name, []).append(run())
            print(f"{name}: {found[name][-1].bytes_per_s / MB:.0f} MB/s", flush=True)
    return found


def over_a_long_link(folder: Path, entry: Path) -> tuple[Run, Run]:
    """Fetch over a round trip of 100 ms: with a window, and one chunk at a time."""
    with delay_link.delayed(0.05) as namespace, stage(folder, delay_link.HERE) as far:

        def start(*arguments: Any, **options: Any) -> Any:
            return namespace.call(lambda: subprocess.Popen(*arguments, **options))

        windowed = far.by_mqtt([entry], delay_link.HERE, start)
        order = {"host": delay_link.HERE, "port": far.mqtt_port, "devices": DEVICES[:1], "entries": [str(entry)]}
        program = Program("benchmarks.peers.stop_and_wait", {**papers(), **order, "chunks": STOP_AND_WAIT_CHUNKS}, start)
        program.go()
        found = program.result()
    return windowed, Run(STOP_AND_WAIT_CHUNKS * CHUNK_BYTES / (found["ended_s"] - found["began_s"]))


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


def ratio(found: dict[str, list[Run]], ours: str, theirs: str) -> float:
    """Return the median ratio of rates, round by round."""
    return statistics.median(a.bytes_per_s / b.bytes_per_s for a, b in zip(found[ours], found[theirs], strict=True))


def row(name: str, runs: Sequence[Run]) -> dict[str, str | float]:
    """Return a line of the table: medians."""
    broker_s = statistics.median(run.broker_cpu_s_per_mb for run in runs)
    device_s = statistics.median(run.device_cpu_s_per_mb for run in runs)
    return {
        "transfer": name,
        "MB/s": statistics.median(run.bytes_per_s for run in runs) / MB,
        "broker CPU ms/MB": "-" if math.isnan(broker_s) else 1000 * broker_s,
        "device CPU ms/MB": "-" if math.isnan(device_s) else 1000 * device_s,
        "peak RSS MB of a process": max(run.peak_bytes for run in runs) / MB or "-",
    }


if __name__ == "__main__":
    main()
