"""The convention of every benchmark here: `--json FILE`, a table, one `bar` line per goal, status 1 when one falls short."""

from __future__ import annotations

import argparse
import json
import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NoReturn

from rich.console import Console
from rich.table import Table

_HOLDS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Bar:
    """One goal, and the value measured for it in this run."""

    name: str
    value: float
    op: Literal["<=", ">="]
    goal: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Say whether the value meets the goal; a NaN never does."""
        return _HOLDS[self.op](self.value, self.goal)

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "falls short"
        return f"bar {self.name}: {self.value:.4g}{self.unit} (goal {self.op} {self.goal:g}{self.unit}) {verdict}"


def parser(description: str) -> argparse.ArgumentParser:
    """Return an argument parser that already knows `--json`."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--json", type=Path, metavar="FILE", help="also write the rows and bars to FILE")
    return arguments


def finish(title: str, rows: Sequence[dict[str, str | float]], bars: Sequence[Bar], json_file: Path | None) -> NoReturn:
    """Print table and bars, write the JSON file if asked, and exit 0 when every bar holds, else 1."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.4g}" for value in row.values()))
    Console().print(table)
    for bar in bars:
        print(bar)
    if json_file is not None:
        report = {"title": title, "rows": list(rows), "bars": [{**asdict(bar), "holds": bar.holds} for bar in bars]}
        json_file.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(0 if all(bar.holds for bar in bars) else 1)
