"""`fieldfare devices`, which is `fieldfare device list` too: shows all devices in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli.client import connected
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import ago, print_json, print_table, styled
from fleet.cli.pages import every_device
from fleet.views.devices import DeviceSummary

if TYPE_CHECKING:
    from rich.text import Text

app = typer.Typer()

NO_DEVICES = "no devices yet; let one in with: fieldfare device token --hardware cpu"


@app.command("devices")
def list_devices(
    where: Annotated[
        str, typer.Option("--where", metavar="QUERY", help='Only these, such as: hw = rpi5 and free_disk < 10% and not running "digits 3".')
    ] = "",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List the fleet's devices, or those that a query means."""
    with connected(folder) as api:
        found = every_device(api, where)
    if as_json:
        print_json(found)
        return
    rows = [(each.id, each.hardware, status(each), _runs(each), runs_on(each), labels(each), ago(each.last_seen)) for each in found]
    columns = ("DEVICE", "HARDWARE", "STATUS", "RUNS", "ON", "LABELS", "LAST SEEN")
    print_table(columns, rows, empty="the query means no device" if where else NO_DEVICES)


def status(summary: DeviceSummary) -> Text:
    """Say how a device is, and why."""
    return styled(summary.status, summary.status_reason)


def _runs(summary: DeviceSummary) -> str:
    return ", ".join(f"{model} {report.current.release}" for model, report in sorted(summary.models.items()) if report.current)


def runs_on(summary: DeviceSummary) -> str:
    """Say which artifact really runs where, and what the hardware would have allowed."""
    workers = summary.health.workers if summary.health else {}
    words = []
    for model, worker in sorted(workers.items()):
        report = summary.models.get(model)
        artifact = "" if report is None or report.target in ("", summary.hardware) else f" ({report.target} artifact)"
        if not worker.provider:
            continue  # it is not at work yet
        fallback = "" if worker.provider == worker.preferred_provider else f", not {_short(worker.preferred_provider)}"
        what = f"{model}: " if len(workers) > 1 else ""
        words.append(f"{what}{_short(worker.provider) or worker.state}{fallback}{artifact}")
    return "; ".join(words)


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")


def labels(summary: DeviceSummary) -> str:
    """Say how a device is labelled."""
    return " ".join(f"{key}={value}" for key, value in sorted(summary.labels.items()))
