"""`fieldfare device` and `fieldfare devices`: adds a device and writes its folder; shows one or all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.text import Text

from fleet.cli.client import connected, request
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import ago, print_json, print_table, styled
from fleet.core.refusals import trust_line
from fleet.provisioning import check_empty, parse_pairs, plan_config, write_folder
from fleet.requests import NewDevice, Provisioning
from fleet.views import DeviceDetail, DeviceSummary

app = typer.Typer(no_args_is_help=True)

PAGE = 200


class AddedDevice(BaseModel, frozen=True):
    """What is said of a new device; its password is in the folder and nowhere else."""

    device: str
    folder: str


@app.command()
def add(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device's id.")],
    hardware: Annotated[str, typer.Option(help="Its profile: rpi5, jetson-orin, coral, cpu.")],
    out: Annotated[Path, typer.Option(help="Folder for the device's configuration, empty or missing.")],
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, for queries; may be repeated.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE of agent.toml; may be repeated.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Add a device: its broker password, root of trust and agent.toml are written to a folder to be copied to it."""
    new = request(NewDevice, id=device, hardware=hardware, labels=parse_pairs("--label", label or []))
    planned = plan_config(new, parse_pairs("--set", setting or []))
    check_empty(out)
    with connected(folder) as api:
        provisioning = api.post("devices", new, Provisioning)
    write_folder(out, planned, provisioning)
    if as_json:
        print_json(AddedDevice(device=device, folder=str(out)))
    else:
        typer.echo(f"added {device}; copy {out} to it and run: fieldfare agent run --config {out}/agent.toml")


@app.command()
def show(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device's id.")], folder: Folder = None, as_json: AsJson = False
) -> None:
    """Show one device: what it is, what it runs, what happened lately."""
    with connected(folder) as api:
        detail = api.get(f"devices/{device}", DeviceDetail)
    if as_json:
        print_json(detail)
        return
    print_table(("", ""), _facts(detail), empty="")
    for model, report in sorted(detail.models.items()):
        current = f"release {report.current.release}" if report.current else "nothing yet"
        typer.echo(f"\n{model}: {report.phase.value}, runs {current} {report.endpoint}".rstrip())
        if report.last and report.last.reason:
            typer.echo(f"  release {report.last.release.release} {report.last.result.value.replace('_', ' ')}: {report.last.reason}")
    events = [(ago(event.at), event.severity, event.kind, event.text) for event in detail.events[:20]]
    typer.echo()
    print_table(("WHEN", "SEVERITY", "KIND", "EVENT"), events, empty="no events yet")


def list_devices(folder: Folder = None, as_json: AsJson = False) -> None:
    """List the fleet's devices."""
    found: list[DeviceSummary] = []
    with connected(folder) as api:
        while page := api.get(f"devices?limit={PAGE}&after={found[-1].id if found else ''}", tuple[DeviceSummary, ...]):
            found += page
    if as_json:
        print_json(tuple(found))
        return
    rows = [(each.id, each.hardware, _status(each), _runs(each), _runs_on(each), _labels(each), ago(each.last_seen)) for each in found]
    columns = ("DEVICE", "HARDWARE", "STATUS", "RUNS", "ON", "LABELS", "LAST SEEN")
    print_table(columns, rows, empty="no devices yet; add one with: fieldfare device add ID --hardware cpu --out DIR")


def _facts(detail: DeviceDetail) -> list[tuple[str, str | Text]]:
    facts: list[tuple[str, str | Text]] = [
        ("device", detail.id),
        ("status", _status(detail)),
        ("hardware", detail.hardware),
        ("labels", _labels(detail)),
    ]
    if detail.birth:
        machine = detail.birth.machine
        facts.append(("machine", f"{machine.architecture}, {machine.cpu_count} cores, {machine.system}"))
        facts.append(("targets", ", ".join(detail.birth.targets)))
        facts.append(("agent", detail.birth.agent_version))
    if detail.models:
        facts.append(("runs on", _runs_on(detail)))
    facts.append(("wish", f"generation {detail.generation_desired}, device has {detail.generation_reported}"))
    facts.append(("trust", trust_line(detail.newest_time, detail.refused)))
    facts.append(("last seen", ago(detail.last_seen)))
    return facts


def _status(summary: DeviceSummary) -> Text:
    return styled(summary.status, summary.status_reason)


def _runs(summary: DeviceSummary) -> str:
    return ", ".join(f"{model} {report.current.release}" for model, report in sorted(summary.models.items()) if report.current)


def _runs_on(summary: DeviceSummary) -> str:
    """Say which artifact really runs where, and what the hardware would have allowed."""
    workers = summary.health.workers if summary.health else {}
    words = []
    for model, worker in sorted(workers.items()):
        report = summary.models.get(model)
        artifact = "" if report is None or report.target == summary.hardware else f" ({report.target} artifact)"
        fallback = "" if worker.provider == worker.preferred_provider else f", not {_short(worker.preferred_provider)}"
        words.append(f"{_short(worker.provider)}{fallback}{artifact}")
    return "; ".join(words)


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")


def _labels(summary: DeviceSummary) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(summary.labels.items()))
