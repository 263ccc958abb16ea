"""How much processor time a command takes before it does anything: the help of each part, beside Typer's own smallest program."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from benchmarks.bars import Bar, finish, parser

ROUNDS = 7
SMALLEST = "import typer; app = typer.Typer(); app.command()(lambda: None); app(['--help'])"
COMMANDS = {
    "fieldfare --help": ("--help",),
    "fieldfare devices --help": ("devices", "--help"),
    "fieldfare agent run --help": ("agent", "run", "--help"),
}


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "").parse_args()
    programs = {"Typer's smallest program": [sys.executable, "-c", SMALLEST]}
    programs |= {name: [sys.executable, "-m", "cli", *words] for name, words in COMMANDS.items()}
    # Round by round, so that what else the machine does falls on all alike.
    rounds = [{name: cpu_s(command) for name, command in programs.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in programs}
    rows: list[dict[str, str | float]] = [{"program": name, "CPU s": seconds} for name, seconds in medians.items()]
    bars = [
        Bar("help_cpu", medians["fieldfare --help"], "<=", 0.3, " s"),
        Bar("devices_help_ratio", medians["fieldfare devices --help"] / medians["Typer's smallest program"], "<=", 5),
    ]
    finish("Start", rows, bars, arguments.json)


def cpu_s(command: list[str]) -> float:
    """Run a program and return the user and system time that it took."""
    before = os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


if __name__ == "__main__":
    main()
