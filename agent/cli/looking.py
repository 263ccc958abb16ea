"""The commands that show how the agent and its device are, whether or not it runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.config import Settings

SERVICE_CONFIG = Path("/etc/fieldfare/agent.toml")
STATUS_EXAMPLES = """[bold]Examples[/bold]

fieldfare agent status

fieldfare agent status --json | jq .models
"""
DOCTOR_EXAMPLES = """[bold]Examples[/bold]

sudo fieldfare agent doctor

fieldfare agent doctor --config pi-1/agent.toml --json
"""
Config = Annotated[Path, typer.Option(help="The device's agent.toml, or the folder it is in.")]
StateDir = Annotated[Path | None, typer.Option(help="Where its state is, if not where agent.toml says.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def status(config: Config = SERVICE_CONFIG, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Show the service, the link and every model; of an agent that is stopped, what it left behind (exit status 1 unless it runs)."""
    from agent.cli.page import compose, print_page

    page = compose(_settings(config, state_dir), datetime.now(timezone.utc))
    if as_json:
        typer.echo(page.model_dump_json(indent=2))
    else:
        print_page(page)
    if not page.is_running:
        raise typer.Exit(1)


def doctor(config: Config = SERVICE_CONFIG, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Check everything the agent needs of this device, and say what to do about the rest (exit status 1 if anything fails)."""
    from agent.adapters.examination import examine
    from agent.cli.page import print_findings
    from agent.core.checkup import findings
    from contracts import codec

    found = findings(asyncio.run(examine(_settings(config, state_dir))))
    if as_json:
        typer.echo(codec.canonical([finding.model_dump() for finding in found]).decode())
    else:
        print_findings(found)
    if any(finding.verdict == "fail" for finding in found):
        raise typer.Exit(1)


def _settings(config: Path, state_dir: Path | None) -> Settings:
    from agent.adapters.configuration_files import ConfigurationFiles
    from agent.config import file_in, load_settings
    from agent.control.configurator import in_force
    from agent.core.status import SERVICE_STATE_DIR

    file = file_in(config)
    # The service is told its state folder by its unit.
    settings = load_settings(file, state_dir or (Path(SERVICE_STATE_DIR) if file == SERVICE_CONFIG else None))
    # What the fleet has set since counts for whoever looks, too.
    kept = ConfigurationFiles(settings.state_dir)
    return replace(settings, config=in_force(kept, settings.config, kept.load())[1])
