"""How answers look in a terminal: tables, or the API's JSON; what draws is loaded once there is something to draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import typer
from pydantic import BaseModel, TypeAdapter

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {
    "healthy": "green", "committed": "green", "in_force": "green", "succeeded": "green", "proven": "green", "ok": "green", "pass": "green",
    "updating": "cyan", "running": "cyan", "trying": "cyan", "pending": "cyan",
    "waiting": "yellow", "paused": "yellow", "wait": "yellow", "aborted": "yellow",
    "degraded": "yellow", "unproven": "yellow", "cancelled": "yellow", "refused": "yellow", "expired": "yellow", "stop": "red",
    "offline": "red", "failed": "red", "rolled_back": "red", "rejected": "red",
}  # fmt: skip


def print_json(answer: BaseModel | Sequence[BaseModel]) -> None:
    """Print an answer as the API gave it."""
    kind: TypeAdapter[object] = TypeAdapter(type(answer) if isinstance(answer, BaseModel) else tuple[BaseModel, ...])
    typer.echo(kind.dump_json(answer, indent=2, serialize_as_any=True).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, empty: str) -> None:
    """Print rows, or the sentence that says there are none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    if table.row_count:
        Console().print(table)
    else:
        typer.echo(empty)


def plain(cell: str | Text) -> Text:
    """Return text as it is: what devices say is neither markup nor a command to the terminal."""
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text("".join(char if char.isprintable() else "\ufffd" for char in cell))


def styled(word: str, note: str = "") -> Text:
    """Colour a status, and say why."""
    from rich.text import Text

    text = Text(word.replace("_", " "), style=STYLES.get(word, ""))
    return Text.assemble(text, " ", plain(note)) if note else text


def ago(moment: datetime | None) -> str:
    """Say how long ago something was."""
    if moment is None:
        return "never"
    seconds = max(0, int((datetime.now(timezone.utc) - moment).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def size(count: int) -> str:
    """Write a number of bytes for people."""
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} B"
