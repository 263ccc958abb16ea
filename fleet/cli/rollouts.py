"""`fieldfare rollout`: starts one, follows it, and takes what people order of it."""

from __future__ import annotations

import time
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.live import Live

from contracts.errors import InvalidDocumentError
from fleet.cli import preview, rollout_parts
from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import AsJson, Folder, parse_duration
from fleet.cli.output import ago, print_json, print_table
from fleet.cli.pages import every, first
from fleet.cli.rollout_parts import shown, whole
from fleet.cli.rollout_text import counts, drawn, history, state
from fleet.errors.rollouts import RolloutFailedError
from fleet.requests import DEFAULT_DEADLINE_S, DEFAULT_PATIENCE_S, NewRollout
from fleet.views import RolloutSummary

app = typer.Typer(no_args_is_help=True)

POLL_S = 0.5
BAD = ("failed", "aborted")
EMPTY = "no rollouts yet; start one with: fieldfare rollout start MODEL --to all"

Number = Annotated[int, typer.Argument(metavar="ID", help="Its number.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit status 1 when it failed.")]


@app.command()
def start(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    to: Annotated[str, typer.Option(metavar="QUERY", help='Who: all, or such as: hw = rpi5 and label.site = "lyon".')],
    release: Annotated[int | None, typer.Option(help="Release counter; without it the newest.")] = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Show who would get what, and who nothing and why; change nothing.")] = False,
    strategy: Annotated[str, typer.Option(help="all-at-once, phased, canary, shadow, or split.")] = "all-at-once",
    waves: Annotated[
        str | None, typer.Option(metavar="SIZES", help="How much is reached with each wave: 1%,10%,50%,100% or 5,100%.")
    ] = None,
    gate: Annotated[
        str | None,
        typer.Option(metavar="LIMITS", help="How much worse it may be: errors=0.02,p95=1.2,restarts=0.2; of a shadow agreement=0.98."),
    ] = None,
    threshold: Annotated[str | None, typer.Option(metavar="SIZE", help="How many devices may be lost, such as 5% or 3.")] = None,
    soak: Annotated[str | None, typer.Option(metavar="TIME", help="How long each wave is watched, such as 15m.")] = None,
    patience_s: Annotated[float, typer.Option(min=1, help="Seconds for which the gate may lack evidence.")] = DEFAULT_PATIENCE_S,
    deadline_s: Annotated[float, typer.Option(min=1, help="Seconds after which a device that was met has failed.")] = DEFAULT_DEADLINE_S,
    contact: Annotated[str | None, typer.Option(metavar="TIME", help="How long a device without a link is waited for.")] = None,
    window: Annotated[str | None, typer.Option(metavar="HH:MM-HH:MM", help="When devices are offered it, by their clocks.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of devices without the label tz.")] = "UTC",
    rate: Annotated[str | None, typer.Option(metavar="N/min", help="How many devices a minute are offered it.")] = None,
    approval: Annotated[bool, typer.Option("--approval", help="Wait for a second person.")] = False,
    newcomers: Annotated[bool, typer.Option("--newcomers", help="Devices that are added meanwhile join the last wave.")] = False,
    take_back: Annotated[bool | None, typer.Option("--take-back/--keep", help="Whether a stop returns those that have it.")] = None,
    rival: Annotated[int | None, typer.Option(help="Release of the other half of a split.")] = None,
    hold: Annotated[str | None, typer.Option(metavar="TIME", help="How long a split is compared, such as 7d.")] = None,
    share: Annotated[str | None, typer.Option(metavar="PART", help="Of a shadow: how much of the inputs it sees, such as 5%.")] = None,
    min_inputs: Annotated[int | None, typer.Option(help="Of a shadow: inputs that a device compares before it counts.")] = None,
    max_cpu: Annotated[float | None, typer.Option(help="Of a shadow: what it may take of one core, such as 0.5.")] = None,
    max_temperature: Annotated[float | None, typer.Option(metavar="C", help="Of a shadow: above it the device's shadow pauses.")] = None,
    wait: Wait = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Bring a release to all devices that a query means now."""
    wanted = request(
        NewRollout,
        model=model,
        query=to,
        release=release,
        strategy=strategy,
        waves=None if waves is None else [size.strip() for size in waves.split(",")],
        gate=None if gate is None else _limits(gate),
        threshold=threshold,
        soak_s=None if soak is None else parse_duration("--soak", soak),
        patience_s=patience_s,
        deadline_s=deadline_s,
        contact_s=None if contact is None else parse_duration("--contact", contact),
        window=window,
        zone=zone,
        rate_per_min=None if rate is None else _rate(rate),
        approval=approval,
        newcomers=newcomers,
        take_back=take_back,
        rival=rival,
        hold_s=None if hold is None else parse_duration("--hold", hold),
        share=None if share is None else _share(share),
        min_inputs=min_inputs,
        max_cpu=max_cpu,
        max_temperature_c=max_temperature,
    )
    with connected(folder) as api:
        if is_dry:
            print_json(preview.whole(api, wanted)) if as_json else preview.show(preview.foreseen(api, wanted))
            return
        view = api.post("rollouts", wanted, RolloutSummary)
        _tell(api, view, is_waiting=wait, as_json=as_json)


@app.command()
def approve(rollout: Number, folder: Folder = None, as_json: AsJson = False) -> None:
    """Let a rollout begin that another person started."""
    _order(rollout, "approve", folder, as_json=as_json)


@app.command()
def pause(rollout: Number, folder: Folder = None, as_json: AsJson = False) -> None:
    """Offer it to nobody else; who was offered it goes on."""
    _order(rollout, "pause", folder, as_json=as_json)


@app.command()
def resume(rollout: Number, folder: Folder = None, as_json: AsJson = False) -> None:
    """Go on after a pause; a gate has all its patience again."""
    _order(rollout, "resume", folder, as_json=as_json)


@app.command()
def promote(rollout: Number, folder: Folder = None, as_json: AsJson = False) -> None:
    """Open the next wave, whatever evidence the gate lacks."""
    _order(rollout, "promote", folder, as_json=as_json)


@app.command()
def abort(rollout: Number, folder: Folder = None, as_json: AsJson = False) -> None:
    """Withdraw it from devices that have not begun to stage it; the others finish."""
    _order(rollout, "abort", folder, as_json=as_json)


@app.command()
def rollback(rollout: Number, wait: Wait = False, folder: Folder = None, as_json: AsJson = False) -> None:
    """Bring every device of a rollout that has ended back to what it ran before."""
    _order(rollout, "rollback", folder, as_json=as_json, is_waiting=wait)


@app.command()
def retry(rollout: Number, wait: Wait = False, folder: Folder = None, as_json: AsJson = False) -> None:
    """Offer the release again to those that a rollout lost."""
    _order(rollout, "retry", folder, as_json=as_json, is_waiting=wait)


@app.command()
def show(
    rollout: Annotated[int | None, typer.Argument(metavar="[ID]", help="Its number; without it the newest.")] = None,
    with_history: Annotated[bool, typer.Option("--history", help="Show who did what.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Show one rollout with its devices."""
    with connected(folder) as api:
        newest = (api.get(f"rollouts/{rollout}", RolloutSummary),) if rollout else first(api, "rollouts", RolloutSummary, 1)
        for summary in newest:
            if as_json:
                print_json(whole(api, summary))
            else:
                Console().print(history(rollout_parts.with_history(api, summary)) if with_history else drawn(shown(api, summary)))
    if not newest:
        typer.echo(EMPTY)


@app.command("list")
def list_rollouts(folder: Folder = None, as_json: AsJson = False) -> None:
    """List rollouts, newest first."""
    with connected(folder) as api:
        rollouts = every(api, "rollouts", RolloutSummary)
    if as_json:
        print_json(rollouts)
        return
    rows = [
        (str(view.id), f"{view.release.model} {view.release.release}", view.query, state(view), counts(view), ago(view.started_at))
        for view in rollouts
    ]
    print_table(("ROLLOUT", "RELEASE", "TO", "STATE", "DEVICES", "STARTED"), rows, empty=EMPTY)


def _order(rollout: int, order: str, folder: Folder, *, as_json: bool, is_waiting: bool = False) -> None:
    with connected(folder) as api:
        view = api.post(f"rollouts/{rollout}/{order}", None, RolloutSummary)
        _tell(api, view, is_waiting=is_waiting, as_json=as_json, is_asked=order == "abort")


def _tell(api: ApiClient, view: RolloutSummary, *, is_waiting: bool, as_json: bool, is_asked: bool = False) -> None:
    """Show a rollout, now or at its end; raise RolloutFailedError for a bad one that nobody asked to end."""
    if is_waiting:
        view = _follow(api, view, is_silent=as_json)
    if as_json:
        print_json(whole(api, view))
    elif not is_waiting:
        Console().print(drawn(shown(api, view)))
    if view.state in BAD and not is_asked:
        raise RolloutFailedError(view.id, view.state_reason)


def _follow(api: ApiClient, view: RolloutSummary, *, is_silent: bool) -> RolloutSummary:
    """Poll until the rollout ends."""
    if is_silent:
        while view.ended_at is None:
            time.sleep(POLL_S)
            view = api.get(f"rollouts/{view.id}", RolloutSummary)
        return view
    console = Console()
    with Live(drawn(shown(api, view)), console=console, transient=True) as live:
        while view.ended_at is None:
            time.sleep(POLL_S)
            view = api.get(f"rollouts/{view.id}", RolloutSummary)
            live.update(drawn(shown(api, view)))
    console.print(drawn(shown(api, view)))
    return view


def _limits(text: str) -> dict[str, float]:
    """Read `errors=0.02,p95=1.2`; raise InvalidDocumentError."""
    limits: dict[str, float] = {}
    for part in text.split(","):
        name, _, limit = part.strip().partition("=")
        try:
            limits[name] = float(limit)
        except ValueError:
            _refuse("--gate", "NAME=LIMIT such as errors=0.02", part)
    return limits


def _share(text: str) -> float:
    """Read `5%`; raise InvalidDocumentError."""
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        _refuse("--share", "a part of the inputs such as 5%", text)


def _rate(text: str) -> int:
    """Read `100/min`; raise InvalidDocumentError."""
    count, _, unit = text.partition("/")
    if not count.isascii() or not count.isdigit() or unit != "min":
        _refuse("--rate", "a number of devices a minute such as 100/min", text)
    return int(count)


def _refuse(option: str, expected: str, found: str) -> NoReturn:
    raise InvalidDocumentError("command line", option, expected, repr(found))
