"""Writes what was found for people: sizes, counts and tables."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table; a column whose name ends with `>` is one of numbers."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        made.add_column(
            column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold", no_wrap=column.endswith(">")
        )
    return made


def size(count: int | None) -> str:
    """Return a number of bytes, such as 43.4 kB; `unknown` for None."""
    return scaled(count, "B")


def scaled(count: int | None, unit: str) -> str:
    """Return a count with a decimal prefix, such as 2.66 M; `unknown` for None."""
    if count is None:
        return "unknown"
    value, prefix = float(count), ""
    for prefix in ("", "k", "M", "G", "T"):
        if value < 1000 or prefix == "T":
            break
        value /= 1000
    digits = f"{value:.3g}" if prefix and value < 1000 else f"{value:.0f}"
    return f"{digits} {prefix}{unit}".rstrip()


def counted(counts: Mapping[str, int]) -> str:
    """Return counts by name, such as `Conv 9, Relu 9`."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def shape(sizes: tuple[int | None, ...] | None) -> str:
    """Return a shape, such as [1, 3, ?, ?]."""
    return "unknown" if sizes is None else "[" + ", ".join("?" if n is None else str(n) for n in sizes) + "]"
