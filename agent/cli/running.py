"""The commands that make this machine a device and run its agent: `run`, `enroll` and `check`."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.enrolment import parse_pairs

if TYPE_CHECKING:
    from agent.config import Settings
    from agent.wiring import WorkerKind

TOKEN_VARIABLE = "FIELDFARE_ENROLMENT_TOKEN"  # noqa: S105 - the name of a variable
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]


def run(
    config: Annotated[Path, typer.Option(help="The device's agent.toml.")],
    state_dir: Annotated[Path | None, typer.Option(help="Keep state here, instead of where agent.toml says.")] = None,
    log_level: LogLevel = "info",
) -> None:
    """Serve this device's models and keep them up to date, until stopped by SIGTERM or Ctrl-C."""
    from agent.config import load_settings
    from agent.control.worker import Patience
    from agent.runtimes.installed import installed_runtimes
    from agent.wiring import WORKER_COMMAND, WorkerKind

    settings = load_settings(config, state_dir)
    start_logging(log_level)
    asyncio.run(run_until_signalled(settings, WorkerKind(WORKER_COMMAND, installed_runtimes(), Patience())))


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


def check(
    config: Annotated[Path, typer.Option(help="The device's agent.toml, or the folder it is in.")],
    state_dir: Annotated[Path | None, typer.Option(help="Read state here, instead of where agent.toml says.")] = None,
) -> None:
    """Say whether this version can take the device over: it loads every part, and reads the configuration and the state."""
    from importlib import metadata

    from agent import wiring  # noqa: F401 - that it can be loaded is what is asked
    from agent.adapters.saved_state import saved_models
    from agent.config import load_settings

    settings = load_settings(config / "agent.toml" if config.is_dir() else config, state_dir)
    models = saved_models(settings.state_dir)
    typer.echo(f"fieldfare {metadata.version('fieldfare')}: {settings.config.device.id} with {len(models)} models can be served")


async def run_until_signalled(settings: Settings, kind: WorkerKind) -> None:
    """Run the agent until SIGTERM or SIGINT."""
    from agent import wiring

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await wiring.run(settings, kind, stop)


def start_logging(level: str) -> None:
    """Log one line per record to stderr; the journal adds the time."""
    if level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise typer.BadParameter(f"expected debug, info, warning or error, found {level}", param_hint="--log-level")
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class OneLine(logging.Formatter):
    """A record is one line, whatever a device or a broker put into it."""

    def format(self, record: logging.LogRecord) -> str:
        """Escape line breaks."""
        return super().format(record).replace("\n", "\\n").replace("\r", "\\r")
