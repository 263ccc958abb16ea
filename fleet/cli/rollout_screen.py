"""Shows a rollout in the terminal: as it stands, what was done with it, or how it goes until it ends."""

from __future__ import annotations

import time

import typer
from rich.console import Console
from rich.live import Live

from fleet.cli.client import ApiClient
from fleet.cli.rollout_parts import shown, with_history
from fleet.cli.rollout_text import counts, drawn, history
from fleet.views.rollouts import RolloutSummary


def show_rollout(api: ApiClient, summary: RolloutSummary) -> None:
    """Print a rollout with its devices."""
    Console().print(drawn(shown(api, summary)))


def show_history(api: ApiClient, summary: RolloutSummary) -> None:
    """Print who did what with a rollout."""
    Console().print(history(with_history(api, summary)))


def follow(api: ApiClient, view: RolloutSummary, poll_s: float) -> RolloutSummary:
    """Draw a rollout again and again until it ends; return it as it ended."""
    console = Console()
    if not console.is_terminal:
        return _follow_by_lines(api, view, console, poll_s)
    with Live(drawn(shown(api, view)), console=console, transient=True) as live:
        while view.ended_at is None:
            time.sleep(poll_s)
            view = api.get(f"rollouts/{view.id}", RolloutSummary)
            live.update(drawn(shown(api, view)))
    console.print(drawn(shown(api, view)))
    return view


def _follow_by_lines(api: ApiClient, view: RolloutSummary, console: Console, poll_s: float) -> RolloutSummary:
    """Tell into a pipe or a log each time that devices change their phase, on stderr; at the end the whole on stdout."""
    told = ""
    while view.ended_at is None:
        if (now := f"rollout {view.id}: {counts(view).plain}") != told:
            told = now
            typer.echo(told, err=True)
        time.sleep(poll_s)
        view = api.get(f"rollouts/{view.id}", RolloutSummary)
    console.print(drawn(shown(api, view)))
    return view
