"""`fieldfare device`: lets devices in and turns them out, and shows one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from contracts.enrolment import parse_pairs
from fleet.cli import commands
from fleet.cli.client import connected, request
from fleet.cli.configuring import configuration_facts, configure, settings
from fleet.cli.device_list import labels, list_devices, runs_on, status
from fleet.cli.device_words import health_line, worker_line
from fleet.cli.labels import label
from fleet.cli.options import AsJson, Folder, parse_duration
from fleet.cli.output import ago, print_json, print_table
from fleet.cli.pages import first
from fleet.core.refusals import trust_line
from fleet.requests.enrolment import GivenToken, NewEnrolmentToken
from fleet.views.device_details import DeviceDetail, QuarantinedMessage

if TYPE_CHECKING:
    from rich.text import Text

app = typer.Typer(name="device", no_args_is_help=True, help="Let a device in, turn it out, show it, or ask something of it.")

app.command()(configure)
app.command()(settings)


class Revoked(BaseModel, frozen=True):
    """What is said of a device that was turned out."""

    device: str


class Removed(BaseModel, frozen=True):
    """What is said of a device that was removed."""

    device: str
    kept_history: bool


@app.command()
def token(
    hardware: Annotated[str, typer.Option(help="What comes with it: rpi5, jetson-orin, coral, cpu.")],
    name: Annotated[
        str | None, typer.Option(metavar="ID", help="The one device it is for, also one that was revoked; else the machine says its name.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, for queries; may be repeated.")] = None,
    expires: Annotated[str, typer.Option(help="How long it can be used: 15m, 12h, 7d.")] = "1h",
    uses: Annotated[int, typer.Option(min=1, help="How many machines may come with it.")] = 1,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Print a token by which a machine becomes a device: fieldfare agent enroll --server URL --token TOKEN."""
    labels = parse_pairs("--label", tuple(label or ()))
    life_s = parse_duration("--expires", expires)
    new = request(NewEnrolmentToken, device=name, hardware=hardware, labels=labels, uses=uses, life_s=life_s)
    with connected(folder) as api:
        given = api.post("enrolment-tokens", new, GivenToken)
    if as_json:
        print_json(given)
    else:
        typer.echo(given.token)


@app.command()
def revoke(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device's id.")], folder: Folder = None, as_json: AsJson = False
) -> None:
    """Turn a device out at once and for good: its certificates are void, its connections end. Its name can enrol anew."""
    with connected(folder) as api:
        api.order("POST", f"devices/{device}/revocation")
    if as_json:
        print_json(Revoked(device=device))
    else:
        typer.echo(f"revoked {device}; let it in again with: fieldfare device token --name {device} --hardware ...")


@app.command()
def remove(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device's id.")],
    keeps_history: Annotated[bool, typer.Option("--keep-history", help="Keep what it did, for when its name comes back.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Turn a device out like `revoke`, and forget it: its wish, its words, its history, its part in rollouts."""
    with connected(folder) as api:
        api.get(f"devices/{device}", DeviceDetail)
        if not is_sure and not typer.confirm(f"Remove {device} {'but its' if keeps_history else 'with its whole'} history?", err=True):
            raise typer.Exit(1)
        api.order("DELETE", f"devices/{device}?keep_history={str(keeps_history).lower()}")
    if as_json:
        print_json(Removed(device=device, kept_history=keeps_history))
    else:
        typer.echo(f"removed {device}; let its name in again with: fieldfare device token --name {device} --hardware ...")


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
        if report.reason and not (report.last and report.last.reason == report.reason):
            typer.echo(f"  {report.reason}")
        if report.last and report.last.reason:
            typer.echo(f"  release {report.last.release.release} {report.last.result.value.replace('_', ' ')}: {report.last.reason}")
        if detail.health and model in detail.health.workers:
            typer.echo(f"  {worker_line(detail.health.workers[model])}")
    events = [(ago(event.at), event.severity, event.kind, event.model or "", event.text) for event in detail.events[:20]]
    typer.echo()
    print_table(("WHEN", "SEVERITY", "KIND", "MODEL", "EVENT"), events, empty="no events yet")


@app.command()
def quarantine(
    device: Annotated[str, typer.Argument(metavar="[ID]", help="The device's id; all devices when left out.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List messages that were set aside because they make no sense, and why."""
    with connected(folder) as api:
        found = first(api, "quarantine", QuarantinedMessage, limit, {"device": device})
    if as_json:
        print_json(found)
        return
    rows = [(ago(each.at), each.device, each.leaf, str(each.bytes), each.reason) for each in found]
    print_table(("WHEN", "DEVICE", "KIND", "BYTES", "REASON"), rows, empty="nothing was set aside")


def _facts(detail: DeviceDetail) -> list[tuple[str, str | Text]]:
    facts: list[tuple[str, str | Text]] = [
        ("device", detail.id),
        ("status", status(detail)),
        ("hardware", detail.hardware),
        ("labels", labels(detail)),
    ]
    if detail.birth:
        machine = detail.birth.machine
        facts.append(("machine", f"{machine.architecture}, {machine.cpu_count} cores, {machine.system}"))
        facts.append(("targets", ", ".join(detail.birth.targets)))
        facts.append(("agent", detail.birth.agent_version))
    if detail.models:
        facts.append(("runs on", runs_on(detail)))
    facts.append(("wish", f"generation {detail.generation_desired}, device has {detail.generation_reported}"))
    facts += configuration_facts(detail.configuration)
    if detail.health:
        facts.append(("health", health_line(detail.health)))
    facts.append(("trust", trust_line(detail.newest_time, detail.refused)))
    facts.append(("lost", _lost(detail)))
    facts.append(("last seen", ago(detail.last_seen)))
    return facts


def _lost(detail: DeviceDetail) -> str:
    """Say how many messages, and how many windows among them, never came."""
    messages = sum(gap.lost for gap in detail.gaps if gap.model is None)
    windows = sum(gap.lost for gap in detail.gaps if gap.model is not None)
    return f"{messages} messages, {windows} windows" if messages or windows else "nothing"


app.command("command")(commands.command)
app.command("commands")(commands.list_commands)
app.command("costs")(commands.costs)
app.command("list")(list_devices)
# A word such as -old takes a label away; it is no option.
app.command("label", context_settings={"ignore_unknown_options": True})(label)
