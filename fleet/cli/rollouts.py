"""`fieldfare rollout`: starts one, follows it, and takes what people order of it."""

from __future__ import annotations

import time
from typing import Annotated, NoReturn

import typer

from contracts.errors import InvalidDocumentError
from contracts.pace import Hours
from fleet.cli import rollout_options as told
from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import AsJson, Folder, parse_duration
from fleet.cli.output import ago, print_json, print_table
from fleet.cli.pages import every, first
from fleet.errors.rollouts import RolloutFailedError
from fleet.requests.rollouts import DEFAULT_DEADLINE_S, DEFAULT_PATIENCE_S, NewRollout
from fleet.views.rollouts import RolloutSummary

app = typer.Typer(name="rollout", no_args_is_help=True, help="Bring a release to devices, and watch it arrive.")

POLL_S = 0.5
BAD = ("failed", "aborted")
EMPTY = "no rollouts yet; start one with: fieldfare rollout start MODEL --to all"

Number = Annotated[int, typer.Argument(metavar="ID", help="Its number.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit status 1 when it failed.")]
WaitForLast = Annotated[bool, typer.Option("--wait", help="Follow it until the others have finished, and the model may have another.")]


@app.command()
def start(
    model: told.Model,
    to: told.To,
    release: told.ReleaseCounter = None,
    is_dry: told.DryRun = False,
    strategy: told.StrategyName = "all-at-once",
    waves: told.Waves = None,
    gate: told.Gate = None,
    threshold: told.Threshold = None,
    soak: told.Soak = None,
    patience_s: told.PatienceS = DEFAULT_PATIENCE_S,
    deadline_s: told.DeadlineS = DEFAULT_DEADLINE_S,
    contact: told.Contact = None,
    window: told.Window = None,
    zone: told.Zone = "UTC",
    rate: told.Rate = None,
    approval: told.Approval = False,
    newcomers: told.Newcomers = False,
    take_back: told.TakeBack = None,
    rival: told.Rival = None,
    hold: told.Hold = None,
    share: told.Share = None,
    min_inputs: told.MinInputs = None,
    max_cpu: told.MaxCpu = None,
    max_temperature: told.MaxTemperature = None,
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
        window=None if window is None else _window(window),
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
            from fleet.cli import preview

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
def abort(rollout: Number, wait: WaitForLast = False, folder: Folder = None, as_json: AsJson = False) -> None:
    """Withdraw it from devices that have not begun to stage it; the others finish."""
    _order(rollout, "abort", folder, as_json=as_json, is_waiting=wait)


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
            _show(api, summary, with_history=with_history, as_json=as_json)
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
    from fleet.cli.rollout_text import counts, state

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
        view = _followed(api, view, is_silent=as_json)
    if as_json or not is_waiting:
        _show(api, view, as_json=as_json)
    if view.state in BAD and not is_asked:
        raise RolloutFailedError(view.id, view.state_reason)


def _show(api: ApiClient, view: RolloutSummary, *, as_json: bool, with_history: bool = False) -> None:
    if as_json:
        from fleet.cli.rollout_parts import whole

        print_json(whole(api, view))
        return
    from fleet.cli.rollout_screen import show_history, show_rollout

    (show_history if with_history else show_rollout)(api, view)


def _followed(api: ApiClient, view: RolloutSummary, *, is_silent: bool) -> RolloutSummary:
    """Poll until the rollout ends."""
    if not is_silent:
        from fleet.cli.rollout_screen import follow

        return follow(api, view, POLL_S)
    while view.ended_at is None:
        time.sleep(POLL_S)
        view = api.get(f"rollouts/{view.id}", RolloutSummary)
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


def _window(text: str) -> str:
    """Check `22:00-06:00`; raise InvalidDocumentError."""
    try:
        Hours.parse(text)
    except ValueError:
        _refuse("--window", "hours of the day such as 22:00-06:00", text)
    return text


def _rate(text: str) -> int:
    """Read `100/min`; raise InvalidDocumentError."""
    count, _, unit = text.partition("/")
    if not count.isascii() or not count.isdigit() or unit != "min":
        _refuse("--rate", "a number of devices a minute such as 100/min", text)
    return int(count)


def _refuse(option: str, expected: str, found: str) -> NoReturn:
    raise InvalidDocumentError("command line", option, expected, repr(found))
