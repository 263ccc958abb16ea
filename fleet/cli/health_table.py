"""Draws the newest words of every device as one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from rich.table import Table
from rich.text import Text

from contracts.messages import Birth, Health, WorkerHealth
from fleet.cli.listener import Heard
from fleet.cli.output import ago

LOST = "connection to the broker lost; trying again"
# More are not remembered.
MAX_DEVICES = 5_000


@dataclass(frozen=True)
class Seen:
    """The newest words of one device."""

    at: datetime
    birth: Birth | None = None
    health: Health | None = None


def note(seen: dict[str, Seen], heard: Heard) -> None:
    """Keep a message as the newest of its kind."""
    before = seen.get(heard.device)
    if before is None and len(seen) >= MAX_DEVICES:
        return
    now = before or Seen(heard.at)
    if isinstance(heard.message, Health):
        seen[heard.device] = replace(now, health=heard.message, at=max(now.at, heard.at))
    else:
        seen[heard.device] = replace(now, birth=heard.message, at=max(now.at, heard.at))


def draw(seen: dict[str, Seen], *, is_up: bool) -> Table:
    """Return the table of all devices."""
    title = f"{len(seen)} devices" if is_up else LOST
    table = Table(title=title, title_justify="left", title_style="" if is_up else "yellow", box=None, header_style="bold", pad_edge=False)
    for name in ("DEVICE", "ONLINE", "CPU", "MEMORY", "DISK FREE", "TEMP", "THROTTLED", "WORKERS", "LAST WORD"):
        table.add_column(
            name, justify="right" if name in ("CPU", "MEMORY", "DISK FREE", "TEMP", "LAST WORD") else "left", no_wrap=name == "DEVICE"
        )
    for device, words in sorted(seen.items()):
        table.add_row(device, _online(words.birth), *_health_cells(words.health), ago(words.at))
    return table


def told(device: str, words: Seen) -> str:
    """Return the table's row of a device in one line for scripts: its cells, two spaces apart, but for when it spoke."""
    cells = [_online(words.birth), *_health_cells(words.health)]
    return "  ".join((device, *(", ".join(cell.plain.splitlines()) for cell in cells)))


def _online(birth: Birth | None) -> Text:
    if birth is None:
        return Text("–")
    return Text("● yes", style="green") if birth.online else Text("○ no", style="red")


def _health_cells(health: Health | None) -> Iterator[Text]:
    if health is None:
        yield from (Text("–") for _ in range(6))
        return
    yield Text(f"{health.cpu_percent:.0f} %")
    yield Text(f"{100 * health.memory_used_bytes / max(1, health.memory_total_bytes):.0f} %")
    yield Text(f"{health.disk_free_bytes / 1e9:.1f} GB")
    yield Text("–" if health.temperature_c is None else f"{health.temperature_c:.0f} °C")
    yield {None: Text("–"), False: Text("no"), True: Text("yes", style="yellow")}[health.is_throttled]
    yield Text("\n").join(_worker(model, worker) for model, worker in sorted(health.workers.items())) or Text("none")


def _worker(model: str, worker: WorkerHealth) -> Text:
    is_fallback = bool(worker.provider and worker.preferred_provider and worker.provider != worker.preferred_provider)
    provider = f" on {worker.provider}" if worker.provider else ""
    fallback = f", not {worker.preferred_provider}" if is_fallback else ""
    return Text(f"{model} {worker.state}{provider}{fallback}", style="yellow" if is_fallback or worker.state != "serving" else "")
