"""What ten thousand devices ask of one machine: a real server with its real broker, every device a real connection, and a rollout over all.

CPU times are the processes' own, so that they hold on a machine that also does other things.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psutil

from benchmarks.bars import Bar, finish, parser
from benchmarks.rollout_pauses import Offers
from tests.fleet.bundles import make_bundle
from tests.fleet.server import ROOT, FleetProcess, environment, wait_for

DEVICES = 10_000
# Where the slope of the simulator's memory begins.
FEW_SHARE = 10
CONNECTED_S, STEADY_S, SETTLE_S, ROLLED_OUT_S = 60.0, 60.0, 30.0, 600.0
# As one open dashboard does, and as often as it takes to notice a pause.
SELDOM_S, OFTEN_S = 2.0, 0.2
WAVES = ("1%", "10%", "50%", "100%")
MB, KB = 1_000_000, 1000
# The rest is the default: health every 30 s, and the work of each model every 30 s.
SCENARIO = """
connect_s = {connect_s}
download_s = 3
probation_s = 3
"""


@dataclass(frozen=True)
class Parts:
    """The processes."""

    server: psutil.Process
    broker: psutil.Process
    simulator: psutil.Process

    @classmethod
    def of(cls, fleet: FleetProcess, simulator: subprocess.Popen[str]) -> Parts:
        """Find them."""
        assert fleet.process is not None
        server = psutil.Process(fleet.process.pid)
        (broker,) = (child for child in server.children(recursive=True) if child.name() == "mosquitto")
        return cls(server, broker, psutil.Process(simulator.pid))

    def named(self) -> dict[str, psutil.Process]:
        """Return each by its name."""
        return {"server": self.server, "mosquitto": self.broker, "simulator": self.simulator}


class Watch:
    """`with` measures what the parts take meanwhile, and how long the API's answers do."""

    def __init__(self, what: str, parts: Parts, api: httpx.Client, ask_every_s: float) -> None:
        """Nothing is measured yet."""
        self._ask_every_s = ask_every_s
        self._what = what
        self._parts = parts
        self._api = api
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="asking")
        self.answers_s: list[float] = []
        self.peak_mb = 0.0
        self.row: dict[str, str | float] = {}

    def __enter__(self) -> Watch:
        self._began_s = time.monotonic()
        self._cpu_s = {name: cpu_s(process) for name, process in self._parts.named().items()}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        took_s = time.monotonic() - self._began_s
        shares = {name: 100 * (cpu_s(process) - self._cpu_s[name]) / took_s for name, process in self._parts.named().items()}
        self._is_over.set()
        self._thread.join()
        self.row = {"while": self._what, "s": took_s}
        self.row |= {f"{name} % of a core": share for name, share in shares.items()}
        self.row |= {f"{name} MB": memory_mb(process) for name, process in self._parts.named().items()}
        self.row |= {"API p95 s": quantiles(self.answers_s, n=20)[-1], "API max s": max(self.answers_s)}
        print(", ".join(f"{name}: {value if isinstance(value, str) else f'{value:.3g}'}" for name, value in self.row.items()), flush=True)

    def _ask(self) -> None:
        while not self._is_over.wait(self._ask_every_s):
            begun_s = time.monotonic()
            self._api.get("overview").raise_for_status()
            self.answers_s.append(time.monotonic() - begun_s)
            self.peak_mb = max(self.peak_mb, memory_mb(self._parts.server))


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def memory_mb(process: psutil.Process) -> float:
    """Return a process's share of memory: what it shares with others counts in parts."""
    return float(process.memory_full_info().pss) / MB


@contextlib.contextmanager
def played(fleet: FleetProcess, devices: int, scenario: Path) -> Iterator[subprocess.Popen[str]]:
    """Play devices until the block ends."""
    command = (sys.executable, "-m", "cli", "fleet", "simulate", "--json", "--devices", str(devices), "--faults", str(scenario))
    with subprocess.Popen(command, cwd=ROOT, env=environment(fleet.folder), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
            print("simulator:", json.dumps(json.loads(out)), flush=True)


def heard_all(offers: Offers, devices: int, since_s: float) -> float:
    """Wait until that many devices are connected and have reported; return for how long the last was waited for."""
    wait_for(lambda: offers.reported_since(since_s) >= devices, seconds=10 * CONNECTED_S)
    return offers.last_report_s() - offers.first_birth_s(since_s)


def roll_out(api: httpx.Client) -> dict[str, Any]:
    """Start a phased rollout over everybody, and wait for its end."""
    body = {"model": "digits", "query": "all", "strategy": "phased", "waves": WAVES, "threshold": "5%", "soak_s": 0}
    number = api.post("rollouts", json=body).raise_for_status().json()["id"]

    def ended() -> dict[str, Any] | None:
        time.sleep(SELDOM_S)
        (found,) = (each for each in api.get("rollouts").raise_for_status().json() if each["id"] == number)
        return found if found["ended_at"] else None

    return wait_for(ended, seconds=ROLLED_OUT_S)


def measure(fleet: FleetProcess, folder: Path, devices: int) -> tuple[list[dict[str, str | float]], list[Bar]]:
    """Measure in one go."""
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO.format(connect_s=max(1.0, devices / 400)))
    make_bundle(folder / "bundle", release=1)
    fleet.ask("release", "add", str(folder / "bundle"))
    offers = Offers(fleet.folder / "fleet.db")
    few = devices // FEW_SHARE
    with fleet.api as api, fleet.api as asking:
        with played(fleet, few, scenario) as simulator:
            heard_all(offers, few, time.time())
            few_mb = memory_mb(psutil.Process(simulator.pid))
        wait_for(lambda: api.get("overview").json()["online"] == 0)
        since_s = time.time()
        with played(fleet, devices, scenario) as simulator:
            parts = Parts.of(fleet, simulator)
            with Watch("all connect", parts, asking, OFTEN_S) as connecting:
                connected_s = heard_all(offers, devices, since_s)
            slope_kb = (memory_mb(parts.simulator) - few_mb) * MB / KB / (devices - few)
            time.sleep(SETTLE_S)
            with Watch("health alone", parts, asking, SELDOM_S) as steady:
                time.sleep(STEADY_S)
            with Watch("rollout", parts, asking, OFTEN_S) as rolling:
                ended = roll_out(api)
            time.sleep(SETTLE_S)
            with Watch("health and work", parts, asking, SELDOM_S) as working:
                time.sleep(STEADY_S)
    print(f"rollout: {ended['state']} {ended['state_reason']} {ended['counts']}")
    pause_s = offers.longest_pause_s(ended["id"])
    watches = (connecting, steady, rolling, working)
    bars = [
        Bar(f"{devices} devices connected and reported", connected_s, "<=", CONNECTED_S, " s"),
        Bar("server, steady health every 30 s", float(steady.row["server % of a core"]), "<=", 50.0, " % of a core"),
        Bar("server, most memory at any time", max(watch.peak_mb for watch in watches), "<=", 400.0, " MB"),
        Bar("longest pause of the rollout's decisions", pause_s, "<=", 1.0, " s"),
        Bar("longest answer of the API during the rollout", max(rolling.answers_s), "<=", 1.0, " s"),
        Bar("devices with the release", float(ended["counts"].get("committed", 0)), ">=", devices),
        Bar("simulator, memory for a device", slope_kb, "<=", 4.096, " kB"),
    ]
    return [watch.row for watch in watches], bars


def main() -> None:
    """Run it."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--devices", type=int, default=DEVICES, help=f"how many to play (default: {DEVICES})")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="fieldfare-fleet-") as name:
        with FleetProcess(Path(name) / "home", None, "--simulation") as fleet:
            rows, bars = measure(fleet, Path(name), options.devices)
        print((Path(name) / "home.log").read_text()[-2000:])
    finish("Fleet", rows, bars, options.json)


if __name__ == "__main__":
    main()
