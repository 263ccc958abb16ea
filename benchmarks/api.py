"""How long the API takes for a page of 100 devices out of 10 000, plain and by a query, while all of them report every 30 seconds."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil

from benchmarks.bars import Bar, finish, parser
from contracts.lifecycle import Phase
from contracts.messages import Birth, Health, Machine, Message, ModelReport, Outcome, ReleaseRef, Reported, WorkerHealth
from fleet.core.devices import Device
from fleet.core.freshness import Heard
from fleet.home import Home
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.uplinks import UplinkStore
from tests.fleet.server import FleetProcess

DEVICES, PAGE, REQUESTS = 10_000, 100, 200
HEALTH_EVERY_S = 30
QUERY = 'hw = "rpi5" and label.site = lyon and free_disk > 500MB and not running "digits 2" and online'
MAX_P95_MS = 50.0
RELEASE = ReleaseRef(model="digits", release=3, manifest_sha256="3" * 64)
MACHINE = Machine(architecture="aarch64", system="Linux 6.6.31+rpt", python="3.11", cpu_count=4, memory_bytes=8 << 30, disk_bytes=32 << 30)
WORKER = WorkerHealth(state="serving", restarts=0, rss_bytes=80 << 20, runtime="onnx 1.18", provider="CPU", preferred_provider="CPU")


def names() -> list[str]:
    """Return the devices' ids."""
    return [f"pi-{number:05}" for number in range(DEVICES)]


def first_words(device: str, now: datetime) -> Iterator[Heard]:
    """Yield what a device says when it connects."""
    stamp = {"session": "a" * 16, "sent_at": now}
    birth = Birth(
        **stamp, sequence=1, online=True, agent_version="0.2.0", hardware="rpi5", targets=("rpi5", "cpu"), runtimes={"onnx": "1.18.1"},
        machine=MACHINE,
    )  # fmt: skip
    report = ModelReport(
        phase=Phase.COMMITTED, current=RELEASE, last=Outcome(release=RELEASE, result=Phase.COMMITTED, reason="", at=now), target="cpu"
    )
    said: tuple[tuple[str, Message], ...] = (
        ("birth", birth),
        ("reported", Reported(**stamp, sequence=2, generation=1, models={"digits": report})),
        ("health", health(3, now)),
    )
    return (Heard(device, leaf, message, now) for leaf, message in said)


def health(sequence: int, now: datetime) -> Health:
    """Return one health message."""
    return Health(
        session="a" * 16, sequence=sequence, sent_at=now, uptime_s=100, cpu_percent=20, memory_used_bytes=1 << 30,
        memory_total_bytes=4 << 30, disk_free_bytes=(sequence % 20) << 30, disk_total_bytes=32 << 30, temperature_c=50.5,
        workers={"digits": WORKER},
    )  # fmt: skip


def fill(database: Database) -> None:
    """Let all devices in, and let each say what it says first."""
    now = datetime.now(timezone.utc)
    sites = cycle(("lyon", "oslo"))
    DeviceStore(database).add_simulated([Device(name, "rpi5", {"simulated": "yes", "site": next(sites)}, now) for name in names()])
    store, ids = UplinkStore(database, timedelta(days=30)), names()
    for start in range(0, DEVICES, 500):
        store.save([heard for name in ids[start : start + 500] for heard in first_words(name, now)])


def keep_reporting(database: Database, until: threading.Event) -> None:
    """Save a second's share of health messages each second, as ingest does."""
    store, share, ids, sequence = UplinkStore(database, timedelta(days=30)), DEVICES // HEALTH_EVERY_S, cycle(names()), 10
    while not until.wait(1.0):
        now, sequence = datetime.now(timezone.utc), sequence + 1
        store.save([Heard(next(ids), "health", health(sequence, now), now) for _ in range(share)])


def measure(api: httpx.Client, server: psutil.Process, query: str) -> tuple[list[float], float]:
    """Walk through pages; return milliseconds of each request, and the server's CPU milliseconds of one."""
    taken_ms: list[float] = []
    following: dict[str, str] = {}
    used = sum(server.cpu_times()[:2])
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        answer = api.get("devices", params={"limit": PAGE, **following, **({"query": query} if query else {})})
        taken_ms.append(1000 * (time.perf_counter() - begun))
        page = answer.raise_for_status().json()
        following = {"cursor": page["next"]} if page["next"] else {}
    return taken_ms, 1000 * (sum(server.cpu_times()[:2]) - used) / REQUESTS


def row(name: str, taken_ms: Sequence[float], cpu_ms: float) -> dict[str, str | float]:
    """Return one line of the table."""
    return {"page": name, "median ms": median(taken_ms), "p95 ms": quantiles(taken_ms, n=20)[-1], "max ms": max(taken_ms), "CPU ms": cpu_ms}


def main() -> None:
    """Run it."""
    arguments = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary) / "home"
        home.mkdir(mode=0o700)
        database = Database(Home(home).database)
        fill(database)
        is_over = threading.Event()
        reporting = threading.Thread(target=keep_reporting, args=(database, is_over))
        with FleetProcess(home) as server, server.api as api:
            assert server.process is not None
            process = psutil.Process(server.process.pid)
            reporting.start()
            try:
                rows = [row(name, *measure(api, process, query)) for name, query in (("all devices", ""), ("by a query", QUERY))]
            finally:
                is_over.set()
                reporting.join()
        database.close()
    bars = [Bar(f"p95 of a page of {PAGE} of {DEVICES}, {line['page']}", float(line["p95 ms"]), "<=", MAX_P95_MS, " ms") for line in rows]
    finish("API: pages of devices", rows, bars, arguments.json)


if __name__ == "__main__":
    main()
