"""`fieldfare rollout`: starts one, follows it, shows what became of those before."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contracts.lifecycle import Phase
from fleet.cli import preview
from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import ago, plain, print_json, print_table, styled
from fleet.errors import RolloutFailedError
from fleet.requests import DEFAULT_DEADLINE_S, NewRollout
from fleet.views import RolloutPreview, RolloutView

app = typer.Typer(no_args_is_help=True)

POLL_S = 0.5
SHOWS_PROGRESS = frozenset({Phase.FETCHING, Phase.COMMITTED})


@app.command()
def start(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    to: Annotated[str, typer.Option(metavar="QUERY", help='Who: all, or such as: hw = rpi5 and label.site = "lyon".')],
    release: Annotated[int | None, typer.Option(help="Release counter; without it the newest.")] = None,
    deadline_s: Annotated[float, typer.Option(min=1, help="Seconds after which a device without an outcome has failed.")] = (
        DEFAULT_DEADLINE_S
    ),
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit status 1 when it failed.")] = False,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Show who would get what, and who nothing and why; change nothing.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Bring a release to all devices that a query means now."""
    wanted = request(NewRollout, model=model, query=to, release=release, deadline_s=deadline_s)
    with connected(folder) as api:
        if is_dry:
            foreseen = api.post("rollouts/preview", wanted, RolloutPreview)
            print_json(foreseen) if as_json else preview.show(foreseen)
            return
        view = api.post("rollouts", wanted, RolloutView)
        if wait:
            view = _follow(api, view, is_silent=as_json)
    if as_json:
        print_json(view)
    elif not wait:
        Console().print(_table(view))
    if view.state in ("failed", "aborted"):
        raise RolloutFailedError(view.id, view.state_reason)


@app.command()
def show(
    rollout: Annotated[int | None, typer.Argument(metavar="[ID]", help="Its number; without it the newest.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Show one rollout with its devices."""
    with connected(folder) as api:
        found = (api.get(f"rollouts/{rollout}", RolloutView),) if rollout else api.get("rollouts?limit=1", tuple[RolloutView, ...])
    for view in found:
        if as_json:
            print_json(view)
        else:
            Console().print(_table(view))
    if not found:
        typer.echo("no rollouts yet; start one with: fieldfare rollout start MODEL --to all")


@app.command("list")
def list_rollouts(folder: Folder = None, as_json: AsJson = False) -> None:
    """List rollouts, newest first."""
    with connected(folder) as api:
        rollouts = api.get("rollouts", tuple[RolloutView, ...])
    if as_json:
        print_json(rollouts)
        return
    rows = [
        (str(view.id), f"{view.release.model} {view.release.release}", view.query, _state(view), _counts(view), ago(view.started_at))
        for view in rollouts
    ]
    columns = ("ROLLOUT", "RELEASE", "TO", "STATE", "DEVICES", "STARTED")
    print_table(columns, rows, empty="no rollouts yet; start one with: fieldfare rollout start MODEL --to all")


def _follow(api: ApiClient, view: RolloutView, *, is_silent: bool) -> RolloutView:
    """Poll until the rollout ends, which the server's deadline makes sure of."""
    console = Console(quiet=is_silent)
    with Live(_table(view), console=console, transient=True) as live:
        while view.state == "running":
            time.sleep(POLL_S)
            view = api.get(f"rollouts/{view.id}", RolloutView)
            live.update(_table(view))
    console.print(_table(view))
    return view


def _table(view: RolloutView) -> Table:
    title = Text.assemble(f"rollout {view.id}: {view.release.model} {view.release.release} to {view.query}, ", _state(view))
    table = Table(title=title, title_justify="left", title_style="none", box=None, header_style="bold", pad_edge=False)
    for column in ("DEVICE", "PHASE", "PROGRESS", "REASON"):
        table.add_column(column, overflow="fold")
    for device in view.devices:
        table.add_row(device.device, styled(device.phase.value), f"{device.progress:.0%}", plain(device.reason))
    return table


def _state(view: RolloutView) -> Text:
    return styled(view.state, f"({view.state_reason})" if view.state_reason else "")


def _counts(view: RolloutView) -> Text:
    return Text(", ").join(Text.assemble(f"{count} ", styled(phase.value)) for phase, count in view.counts.items())
