"""How much processor time a command takes before it does anything: help beside Typer's own smallest program, the server, its clients."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.bars import Bar, finish, parser
from benchmarks.startup_fleet import client_cpu_s, server_cpu_s

ROUNDS = 7
SMALLEST = "import typer; app = typer.Typer(); app.command()(lambda: None); app(['--help'])"
HELPS = {
    "fieldfare --help": ("--help",),
    "fieldfare devices --help": ("devices", "--help"),
    "fieldfare agent run --help": ("agent", "run", "--help"),
}
# Until the request goes out.
CLIENTS = {"fieldfare device list": ("device", "list"), "fieldfare rollout show": ("rollout", "show")}
# Until it is ready to answer.
FIRST, AGAIN = "fieldfare fleet up, first", "fieldfare fleet up, again"


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        programs = _programs(Path(folder))
        for measure in programs.values():
            measure()  # compiles what an installation has compiled already
        # Round by round, so that what else the machine does falls on all alike.
        rounds = [{name: measure() for name, measure in programs.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in programs}
    rows: list[dict[str, str | float]] = [{"program": name, "CPU s": seconds} for name, seconds in medians.items()]
    bars = [
        Bar("help_cpu", medians["fieldfare --help"], "<=", 0.3, " s"),
        Bar("devices_help_ratio", medians["fieldfare devices --help"] / medians["Typer's smallest program"], "<=", 5),
        Bar("client_cpu", max(medians[name] for name in CLIENTS), "<=", 0.35, " s"),
        Bar("fleet_up_cpu", medians[AGAIN], "<=", 1.5, " s"),
    ]
    finish("Start", rows, bars, arguments.json)


def _programs(folder: Path) -> dict[str, Callable[[], float]]:
    """Return how each program is measured; the server's second start in a folder always follows its first."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "FIELDFARE_DIR": str(folder / "none")}
    homes: list[Path] = []

    def first() -> float:
        homes.append(Path(tempfile.mkdtemp(dir=folder)))
        return server_cpu_s(homes[-1], environment)

    programs: dict[str, Callable[[], float]] = {"Typer's smallest program": partial(cpu_s, [sys.executable, "-c", SMALLEST], environment)}
    programs |= {name: partial(cpu_s, [sys.executable, "-m", "cli", *words], environment) for name, words in HELPS.items()}
    programs |= {name: partial(client_cpu_s, words, environment) for name, words in CLIENTS.items()}
    return programs | {FIRST: first, AGAIN: lambda: server_cpu_s(homes[-1], environment)}


def cpu_s(command: list[str], environment: Mapping[str, str]) -> float:
    """Run a program and return the user and system time that it took."""
    before = os.times()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


if __name__ == "__main__":
    main()
