"""How fast the fleet takes in what devices say, beside a plain consumer and beside no database at all; and what is lost when parts die.

Everything runs on one machine: the fleet's own mosquitto in its own configuration, devices at its door for simulations, consumers by TLS.
Beside the bars stands what the machine would make of a consumer that is never late: how much of a shortfall is nobody's to mend.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.bars import Bar, finish, parser
from tests.sim.uplink_stage import Stage, mosquitto_of

ROUNDS = 3
DEVICES = 100
OURS, BARE, PLAIN = "fieldfare", "no database", "paho + pydantic + SQLite"
CONSUMERS = {BARE: "benchmarks.peers.bare_consumer", OURS: "tests.sim.ingest_process", PLAIN: "benchmarks.peers.plain_consumer"}
LONGEST_S = 240.0
CORES = psutil.cpu_count() or 1
MB = 1_000_000


@dataclass(frozen=True)
class Run:
    """What one consumer came to."""

    messages_per_s: float
    consumer_us: float
    broker_us: float
    load_us: float
    peak_bytes: float

    @property
    def by_broker(self) -> float:
        """Return how many messages a second mosquitto passes on when it has a core to itself: it has one thread."""
        return 1e6 / self.broker_us

    @property
    def by_machine(self) -> float:
        """Return how many messages a second the cores have time for, in which devices, broker and consumer share them without a gap."""
        return min(self.by_broker, 1e6 / self.consumer_us, CORES * 1e6 / (self.load_us + self.broker_us + self.consumer_us))


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--messages", type=int, default=1000, help="messages of each of the 100 devices (default: 1000)")
    options = arguments.parse_args()
    found: dict[str, list[Run]] = {name: [] for name in CONSUMERS}
    with tempfile.TemporaryDirectory(prefix="fieldfare-ingest-") as name:
        stage = Stage(Path(name), DEVICES)
        with stage.broker() as keeper:
            for number in range(ROUNDS):
                for consumer, runs in found.items():
                    # A slow one needs no more messages to show how slow it is.
                    count = options.messages if consumer != PLAIN else max(1, options.messages // 4)
                    runs.append(measured(stage, mosquitto_of(keeper), CONSUMERS[consumer], stage.folder / f"{consumer}-{number}.db", count))
                    print(f"{consumer}: {runs[-1].messages_per_s:.0f} messages/s", flush=True)
    with tempfile.TemporaryDirectory(prefix="fieldfare-ingest-") as name:
        lost, doubled = killed(Stage(Path(name), DEVICES), options.messages)
    rows: list[dict[str, str | float]] = [row(consumer, runs) for consumer, runs in found.items()]
    bars = [
        Bar("messages/s / paho + pydantic + SQLite", ratio(found[OURS], found[PLAIN]), ">=", 6.0, "x"),
        Bar("messages/s / no database", ratio(found[OURS], found[BARE]), ">=", 0.8, "x"),
        Bar("lost when ingest and broker are killed", lost, "<=", 0),
        Bar("doubled when ingest and broker are killed", doubled, "<=", 0),
    ]
    cpu = statistics.median(theirs.consumer_us / ours.consumer_us for ours, theirs in zip(found[OURS], found[PLAIN], strict=True))
    print(f"CPU time for a message: the plain consumer takes {cpu:.1f} times ours")
    print(floors(found))
    finish("Ingest", rows, bars, options.json)


def measured(stage: Stage, broker: psutil.Process, module: str, database: Path, count: int) -> Run:
    """Let every device send so many messages, and one consumer take them in."""
    total = count * len(stage.devices)
    consumer = stage.consumer(module, database, total)
    load = stage.load(count)
    began_s, began_cpu_s = time.time(), cpu_s(broker)
    consumer.go()
    load.go()
    found = consumer.result()
    broker_s = cpu_s(broker) - began_cpu_s
    load.go()
    load_s = load.result()["cpu_s"]
    consumer_us, broker_us, load_us = (seconds / total * 1e6 for seconds in (found["cpu_s"], broker_s, load_s))
    return Run(total / (found["ended_s"] - began_s), consumer_us, broker_us, load_us, found["peak_bytes"])


def killed(stage: Stage, count: int) -> tuple[int, int]:
    """Kill ingest and then the broker in mid-stream; return how many numbers are missing in the end, and how many are there twice."""
    total, database = count * len(stage.devices), stage.folder / "fleet.db"
    with stage.broker() as keeper:
        consumer = stage.consumer(CONSUMERS[OURS], database, 100 * total)
        mosquitto_of(keeper).send_signal(signal.SIGUSR1)  # as the server does when its line is up
        load = stage.load(count)
        consumer.go()
        load.go()
        wait_until(database, total // 4)
        consumer.kill()
        stage.consumer(CONSUMERS[OURS], database, 100 * total).go()
        wait_until(database, total // 2)
        mosquitto_of(keeper).kill()
        wait_until(database, total)
        load.go()
        print(f"said again after the broker was killed: {load.result()['repeated']} messages")
    rows, numbers = kept(database)
    return total - numbers, rows - numbers


def wait_until(database: Path, messages: int) -> None:
    """Wait until so many are kept, or until it takes too long: what is missing then is lost."""
    until_s = time.monotonic() + LONGEST_S
    while kept(database)[0] < messages and time.monotonic() < until_s:
        time.sleep(0.2)


def kept(database: Path) -> tuple[int, int]:
    """Return how many windows were committed, and how many different ones."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        query = "SELECT count(*), count(DISTINCT device || ' ' || sequence) FROM inference_windows"
        rows, numbers = connection.execute(query).fetchone()
    return int(rows), int(numbers)


def ratio(ours: list[Run], theirs: list[Run]) -> float:
    """Return the median ratio of rates, round by round."""
    return statistics.median(a.messages_per_s / b.messages_per_s for a, b in zip(ours, theirs, strict=True))


def floors(found: dict[str, list[Run]]) -> str:
    """Say where the bars would be if nothing ever waited: for mosquitto alone, and for the time of all processors."""
    ours, bare, plain = found[OURS], found[BARE], statistics.median(run.messages_per_s for run in found[PLAIN])
    broker = statistics.median(run.by_broker for run in ours)
    machine, free = (statistics.median(run.by_machine for run in runs) for runs in (ours, bare))
    return (
        f"floors: mosquitto alone passes at most {broker:.0f} messages/s on one core, {broker / plain:.1f}x of the plain consumer; "
        f"with devices, broker and consumer on {CORES} cores at most {machine:.0f}, and {free:.0f} with no database: {machine / free:.2f}x"
    )


def row(name: str, runs: list[Run]) -> dict[str, str | float]:
    """Return a line of the table: medians."""
    return {
        "consumer": name,
        "messages/s": statistics.median(run.messages_per_s for run in runs),
        "consumer CPU us": statistics.median(run.consumer_us for run in runs),
        "devices' CPU us": statistics.median(run.load_us for run in runs),
        "broker CPU us": statistics.median(run.broker_us for run in runs),
        "peak MB": max(run.peak_bytes for run in runs) / MB,
    }


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
