"""The commands `fieldfare agent run` and `fieldfare agent install`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from contracts.enrolment import parse_pairs

app = typer.Typer(no_args_is_help=True)
agent = typer.Typer(no_args_is_help=True, help="Run or install the agent on this device.")
app.add_typer(agent, name="agent")

TOKEN_VARIABLE = "FIELDFARE_ENROLMENT_TOKEN"  # noqa: S105 - the name of a variable
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], typer.Option(help="What is worth a line of the log.")]
# What the control process imports, besides what the command line did.
NEEDED = ("anyio", "paho")


@agent.callback()
def _agent() -> None:
    """Hold the device's commands together."""


@agent.command()
def run(
    config: Annotated[Path, typer.Option(help="The device's agent.toml.")],
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


@agent.command()
def enroll(
    server: Annotated[str, typer.Option(help="The fleet's address with TLS: https://HOST:PORT.")],
    token: Annotated[str, typer.Option(envvar=TOKEN_VARIABLE, help="From `fieldfare device token`.")],
    name: Annotated[str | None, typer.Option(metavar="DEVICE", help="The device's id, unless the token gives one.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE of agent.toml; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the device's configuration and key.")] = Path("fieldfare-device"),
) -> None:
    """Make this machine a device of a fleet. Its key is made here and stays here; a command that was cut off can be given again."""
    from agent.enrolment import Order, enrol

    order = Order(server, token, name, parse_pairs("--set", tuple(setting or ())), out)
    device = enrol(order)
    typer.echo(f"enrolled {device}; now run: fieldfare agent run --config {out}/agent.toml")


@agent.command()
def install(
    config: Annotated[Path, typer.Option(help="The device's agent.toml, or the folder it is in.", exists=True)],
    prefix: Annotated[Path | None, typer.Option(help="Virtual environment that the service runs from. [default: this one]")] = None,
    root: Annotated[Path, typer.Option(help="Install into the system image mounted here.", exists=True, file_okay=False)] = Path("/"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be written and run.")] = False,
) -> None:
    """Install the agent as a hardened systemd service, and start it; doing so again changes only what differs."""
    from agent.adapters.installation import install, plan_installation
    from agent.config import load_settings

    settings = load_settings(config / "agent.toml" if config.is_dir() else config)
    installation = plan_installation(settings, prefix, root.resolve())
    if not dry_run:
        for done in install(installation, root.resolve()):
            typer.echo(done)
        return
    for placed in (*installation.system_files, *installation.agent_files):
        typer.echo(f"would write {placed.path} ({placed.mode:04o} {placed.owner}:{placed.group})")
    for command in (*installation.user_commands, *installation.start_commands):
        typer.echo(f"would run {' '.join(command)}")
