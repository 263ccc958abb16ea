"""How fast files reach devices, and at what cost: our downloader and broker beside nginx and a client of one chunk at a time.

Everything runs on one machine, over loopback; the link of 100 ms is made in user space and needs root. nginx must be installed.
Beside each bar that the broker is part of stands what a device would make of it that costs next to nothing: mosquitto_sub.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import delay_link, delivery_bare
from benchmarks.bars import Bar, finish, parser
from benchmarks.delivery_stage import DEVICES, MB, Program, Run, Stage, papers, size_of, stage, stored
from contracts.chunks import CHUNK_BYTES

ROUNDS = 3
STOP_AND_WAIT_CHUNKS = 40
LARGE_BYTES, SMALL_BYTES = 100 * MB, 16 * MB


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--large-mb", type=int, default=2000, help="size of the largest file (default: 2000)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="fieldfare-delivery-") as name:
        folder = Path(name)
        one, *many = (stored(folder, size) for size in (LARGE_BYTES, *[SMALL_BYTES] * len(DEVICES)))
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
        Bar("one device by HTTPS / nginx, 100 MB", ratio(found, "fieldfare by HTTPS x1", "nginx x1"), ">=", 1.0, "x"),
        Bar("20 devices / nginx", ratio(found, "fieldfare x20", "nginx x20"), ">=", 1.5, "x"),
        Bar("20 devices / per-device transfer", ratio(found, "fieldfare x20", "per device x20"), ">=", 2.0, "x"),
        Bar("broker CPU / per-device transfer", cpu["fieldfare x20"] / cpu["per device x20"], "<=", 0.3, "x"),
        Bar("100 ms: rate / stop-and-wait", far.bytes_per_s / stop_and_wait.bytes_per_s, ">=", 8.0, "x"),
        Bar(f"{options.large_mb} MB: agent's peak memory", large.peak_bytes / MB, "<=", 60, " MB"),
    ]
    print(shares(cpu["fieldfare x20"], cpu["per device x20"]))
    print(floors(found, cpu))
    finish("Delivery", rows, bars, options.json)


def shares(broadcast_s: float, per_device_s: float) -> str:
    """Say what the broker pays for a publication and for a subscriber: one of each per device, or one publication for all devices."""
    publication_s = (per_device_s - broadcast_s) / (1 - 1 / len(DEVICES))
    subscriber_s = per_device_s - publication_s
    least = subscriber_s / per_device_s
    found = f"{1000 * publication_s:.2f} ms/MB for a publication, {1000 * subscriber_s:.2f} ms/MB for each of its subscribers"
    return f"broker CPU: {found}; with ever more devices a broadcast comes down to {least:.2f}x of per-device transfer"


def floors(found: dict[str, list[Run]], cpu: dict[str, float]) -> str:
    """Say where the bars would be with clients that cost next to nothing: nothing of ours changes what mosquitto and TLS need."""
    values = (
        f"one device / nginx {ratio(found, 'bare x1', 'nginx x1'):.2f}x",
        f"20 devices / nginx {ratio(found, 'bare x20', 'nginx x20'):.2f}x",
        f"20 devices / per-device transfer {ratio(found, 'bare x20', 'bare per device x20'):.2f}x",
        f"broker CPU / per-device transfer {cpu['bare x20'] / cpu['bare per device x20']:.2f}x",
        *(f"a device's CPU {devices} {least:.2f} ms/MB (ours {ours:.2f})" for devices, least, ours in device_costs(found)),
    )
    return f"with mosquitto_sub, which keeps nothing, as device: {', '.join(values)}"


def device_costs(found: dict[str, list[Run]]) -> list[tuple[str, float, float]]:
    """Return what a transferred MB costs mosquitto_sub, and us, in ms of CPU: alone, and among 20."""
    of = {name: 1000 * statistics.median(run.device_cpu_s_per_mb for run in runs) for name, runs in found.items()}
    return [(devices, of[f"bare {devices}"], of[f"fieldfare {devices}"]) for devices in ("x1", "x20")]


def rounds(local: Stage, one: Path, many: Sequence[Path]) -> dict[str, list[Run]]:
    """Take turns, so that a noisy moment meets everybody."""
    found: dict[str, list[Run]] = {}
    for _ in range(ROUNDS):
        for name, run in transfers(local, one, many).items():
            found.setdefault(name, []).append(run())
            print(f"{name}: {found[name][-1].bytes_per_s / MB:.0f} MB/s", flush=True)
    return found


def transfers(local: Stage, one: Path, many: Sequence[Path]) -> dict[str, Callable[[], Run]]:
    """Return all that is compared: one file for one device, and for as many devices as there are files one of them, or each its own."""
    same, devices, count = [many[0]] * len(many), DEVICES[: len(many)], f"x{len(many)}"
    return {
        "nginx x1": lambda: local.by_http([one]),
        "fieldfare x1": lambda: local.by_mqtt([one]),
        "fieldfare by HTTPS x1": lambda: local.by_https(one),
        "bare x1": lambda: delivery_bare.broadcast(local, devices[:1], size_of(one)),
        f"nginx {count}": lambda: local.by_http(same),
        f"fieldfare {count}": lambda: local.by_mqtt(same),
        f"per device {count}": lambda: local.by_mqtt(many),
        f"bare {count}": lambda: delivery_bare.broadcast(local, devices, size_of(many[0])),
        f"bare per device {count}": lambda: delivery_bare.one_by_one(local, devices, size_of(many[0])),
    }


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
