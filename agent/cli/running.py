"""The commands that make this machine a device and run its agent: `run`, `enroll` and `check`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from contracts.enrolment import parse_pairs

TOKEN_VARIABLE = "FIELDFARE_ENROLMENT_TOKEN"  # noqa: S105 - the name of a variable
RUN_EXAMPLES = """[bold]Examples[/bold]

fieldfare agent run --config pi-1/agent.toml
"""
ENROLL_EXAMPLES = """[bold]Examples[/bold]

fieldfare agent enroll --server https://fleet.example.org:8481 --token TOKEN --out pi-1

FIELDFARE_ENROLMENT_TOKEN=TOKEN fieldfare agent enroll --server https://127.0.0.1:8481
"""
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], typer.Option(help="What is worth a line of the log.")]
# What the control process imports, besides what the command line did.
NEEDED = ("anyio", "paho")


def run(
    config: Annotated[Path, typer.Option(help="The device's agent.toml, or the folder it is in.")],
    state_dir: Annotated[Path | None, typer.Option(help="Keep state here, instead of where agent.toml says.")] = None,
    log_level: LogLevel = "info",
) -> None:
    """Serve this device's models and keep them up to date, until stopped by SIGTERM or Ctrl-C."""
    for module in NEEDED:
        if find_spec(module) is None:
            raise ModuleNotFoundError(name=module)
    given = [] if state_dir is None else [str(state_dir)]
    # In place of this process and under its number: what a command line needs is out of memory then.
    os.execv(sys.executable, [sys.executable, "-m", "agent", str(config), log_level, *given])  # noqa: S606 - ourselves, and no shell


def enroll(
    server: Annotated[str, typer.Option(help="The fleet's address with TLS: https://HOST:PORT.")],
    token: Annotated[str, typer.Option(envvar=TOKEN_VARIABLE, help="From `fieldfare device token`.")],
    name: Annotated[str | None, typer.Option(metavar="DEVICE", help="The device's id, unless the token gives one.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE of agent.toml, lists as A,B; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the device's configuration and key.")] = Path("fieldfare-device"),
) -> None:
    """Make this machine a device of a fleet. Its key is made here and stays here; a command that was cut off can be given again."""
    from agent.enrolment import Order, enrol

    order = Order(server, token, name, parse_pairs("--set", tuple(setting or ()), may_be_empty=True), out)
    device = enrol(order)
    typer.echo(f"enrolled {device}; now run: fieldfare agent run --config {out}/agent.toml")


def check(
    config: Annotated[Path, typer.Option(help="The device's agent.toml, or the folder it is in.")],
    state_dir: Annotated[Path | None, typer.Option(help="Read state here, instead of where agent.toml says.")] = None,
) -> None:
    """Say whether this version can take the device over: it loads every part, and reads the configuration and the state."""
    from importlib import metadata

    from agent import wiring  # noqa: F401 - that it can be loaded is what is asked
    from agent.adapters.saved_state import saved_models
    from agent.config import load_settings

    settings = load_settings(config, state_dir)
    models = saved_models(settings.state_dir)
    typer.echo(f"fieldfare {metadata.version('fieldfare')}: {settings.config.device.id} with {len(models)} models can be served")
