"""`fieldfare device command`, `commands` and `costs`: asks something of one device, and shows what was asked and what came of it."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from contracts.codec import encode
from contracts.commands import Cost, CostTable, Kind, Logs, Picture
from contracts.errors import InvalidDocumentError
from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import AsJson, Folder, parse_duration
from fleet.cli.output import ago, plain, print_json, print_table, styled
from fleet.cli.pages import every
from fleet.core.commands import ANSWER_GRACE, RUN_GRACE
from fleet.errors.devices import CommandEndedError
from fleet.requests.commands import NewCommand
from fleet.views.commands import CommandSummary, CommandView

POLL_S = 0.5
# Longer than any command can stay without an end.
SLACK_S = (ANSWER_GRACE + RUN_GRACE).total_seconds()

COSTS = ("HARDWARE", "MODEL", "PRECISION", "PROVIDER", "THREADS", "P50 MS", "P95 MS", "DEVICE", "WHEN")

Device = Annotated[str, typer.Argument(metavar="ID", help="The device's id.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write a picture, a log or the costs here.")]


def command(
    device: Device,
    kind: Annotated[Kind, typer.Argument(help="What it shall do.")],
    model: Annotated[str | None, typer.Option(help="Which model, where it runs several.")] = None,
    lines: Annotated[int | None, typer.Option(help="Of a log.", show_default="200")] = None,
    runs: Annotated[int | None, typer.Option(help="Of a benchmark.", show_default="100")] = None,
    threads: Annotated[int | None, typer.Option(help="Of a benchmark.", show_default="1")] = None,
    expires: Annotated[str, typer.Option(help="A device that does not hear it by then never obeys: 30s, 5m, 12h.")] = "5m",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exit with 1 unless it is a good one.")] = False,
    out: Out = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Ask something of one device: signed, obeyed once, and noted down on both sides. A snapshot takes an admin, all else an operator."""
    given = {"model": model, "lines": lines, "runs": runs, "threads": threads}
    arguments = {name: value for name, value in given.items() if value is not None}
    new = request(NewCommand, kind=kind, arguments=arguments, life_s=parse_duration("--expires", expires))
    with connected(folder) as api:
        found = api.post(f"devices/{device}/commands", new, CommandView)
        if wait or out is not None:
            found = _ended(api, found, new.life_s)
    _tell(found, out, as_json=as_json)
    if found.state == "pending" and not as_json:
        typer.echo(f"later, its answer: fieldfare device commands {device} {found.id}")
    if wait or out is not None:
        _judge(found)


def list_commands(
    device: Device,
    number: Annotated[str | None, typer.Argument(metavar="[COMMAND]", help="Show this one and what it brought.")] = None,
    out: Out = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List what was asked of a device: who asked, when, and how it went; or show one command and its answer."""
    if number is None and out is not None:
        raise InvalidDocumentError("command line", "--out", "the id of a command whose answer is to be written", "none")
    with connected(folder) as api:
        if number is not None:
            _tell(api.get(f"devices/{device}/commands/{number}", CommandView), out, as_json=as_json)
            return
        found = every(api, f"devices/{device}/commands", CommandSummary)
    if as_json:
        print_json(found)
        return
    rows = [(ago(each.issued_at), each.asker, _asked(each), styled(each.state, each.reason), each.id) for each in found]
    print_table(("WHEN", "WHO", "WHAT", "STATE", "ID"), rows, empty=f"nothing was asked of {device} yet")


def costs(out: Out = None, folder: Folder = None, as_json: AsJson = False) -> None:
    """Show what benchmarks found on all devices; with -o or --json as a table for programs, described in docs/commands.md."""
    with connected(folder) as api:
        table = CostTable(costs=every(api, "costs", Cost))
    if out is not None:
        out.write_bytes(encode(table) + b"\n")
    elif as_json:
        print_json(table)
    else:
        print_table(
            ("HARDWARE", "MODEL", "PRECISION", "PROVIDER", "THREADS", "P50 MS", "P95 MS", "DEVICE", "WHEN"), _costs(table), empty=_NONE
        )


_NONE = "no benchmarks yet; run one with: fieldfare device command ID benchmark --wait"


def _costs(table: CostTable) -> list[tuple[str, ...]]:
    return [
        (
            cost.hardware,
            f"{cost.benchmark.release.model} {cost.benchmark.release.release}",
            cost.benchmark.precision,
            cost.benchmark.provider,
            str(cost.benchmark.threads),
            f"{cost.benchmark.p50_ms:.2f}",
            f"{cost.benchmark.p95_ms:.2f}",
            cost.device,
            ago(cost.measured_at),
        )
        for cost in table.costs
    ]


def _tell(found: CommandView, out: Path | None, *, as_json: bool) -> None:
    """Write what was found where it is wanted, and print it unless it was."""
    if out is not None:
        _write(out, found)
    if as_json:
        print_json(found)
    elif out is None:
        _show(found)


def _ended(api: ApiClient, given: CommandView, life_s: float) -> CommandView:
    """Follow a command to its end."""
    end_s = time.monotonic() + life_s + SLACK_S + POLL_S
    found = given
    while found.state in ("pending", "running") and time.monotonic() < end_s:
        time.sleep(POLL_S)
        found = api.get(f"devices/{given.device}/commands/{given.id}", CommandView)
    return found


def _judge(found: CommandView) -> None:
    """Raise CommandEndedError unless the end is a good one."""
    if found.state != "ok":
        raise CommandEndedError(found.device, found.order.kind, found.state, found.reason)
    if found.findings is not None and found.findings.kind == "golden" and not found.findings.passed:
        raise CommandEndedError(found.device, "golden", "not passed", found.findings.reason)


def _write(out: Path, found: CommandView) -> None:
    """Write what can be read without us; raise InvalidDocumentError when it cannot be written."""
    match found.findings:
        case Picture(jpeg=jpeg):
            raw = base64.b64decode(jpeg)
        case Logs(text=text):
            raw = text.encode() + b"\n"
        case None:
            return
        case other:
            raw = encode(other) + b"\n"
    try:
        out.write_bytes(raw)
    except OSError as error:
        raise InvalidDocumentError("--out", str(out), "a file that can be written", error.strerror or str(error)) from error


def _show(found: CommandView) -> None:
    match found.findings:
        case Logs(text=text):
            typer.echo("\n".join(plain(line).plain for line in text.splitlines()))
        case Picture(model=model):
            sys.stderr.write(f"a picture of {model} came; write it with: -o picture.jpg\n")
        case None:
            print_table(("", ""), [("command", found.id), ("asked", _asked(found)), ("state", styled(found.state, found.reason))], empty="")
        case other:
            rows = [(name.replace("_", " "), _value(value)) for name, value in other.model_dump(mode="json", exclude={"kind"}).items()]
            print_table(("", ""), rows, empty="")


def _asked(each: CommandSummary) -> str:
    given = each.order.model_dump(exclude={"kind"}).items()
    return " ".join((each.order.kind, *(f"{name} {value}" for name, value in given)))


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['model']} {value['release']}" if "release" in value else str(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)
