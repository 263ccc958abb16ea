"""The commands that put the agent on a machine, replace it, and take it away."""

from __future__ import annotations

from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.core.install_plan import InstallPlan, Seat

INSTALL_EXAMPLES = """[bold]Examples[/bold]

fieldfare agent install --config pi-1

fieldfare agent install --config pi-1 --from fieldfare-0.2.0-py3-none-any.whl --index /media/stick/wheels
"""
UPGRADE_EXAMPLES = """[bold]Examples[/bold]

fieldfare agent upgrade 0.2.0

fieldfare agent upgrade fieldfare-0.2.0-py3-none-any.whl --index /media/stick/wheels
"""
UNINSTALL_EXAMPLES = """[bold]Examples[/bold]

fieldfare agent uninstall

fieldfare agent uninstall --purge
"""
Index = Annotated[
    str | None, typer.Option("--index", metavar="URL|FOLDER", help="Where pip looks, alone: an index, or a folder of wheels.")
]


def install(
    config: Annotated[Path, typer.Option(help="The device's agent.toml, or the folder it is in.", exists=True)],
    prefix: Annotated[Path, typer.Option(help="Where the versions of the agent live.")] = Path("/opt/fieldfare"),
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Whom the service runs as; made where there is none of that name.")
    ] = "fieldfare",
    source: Annotated[
        str | None, typer.Option("--from", metavar="WHEEL|VERSION", help="What to install. [default: the version that runs this command]")
    ] = None,
    index: Index = None,
    root: Annotated[Path, typer.Option(help="Install into the system image mounted here.", exists=True, file_okay=False)] = Path("/"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be written and run.")] = False,
) -> None:
    """Install the agent as a hardened systemd service, and start it; doing so again changes only what differs."""
    from agent.adapters import systemd
    from agent.adapters.environments import Environments
    from agent.adapters.installation import adopt, plan_installation, provide, start, wanted_version
    from agent.adapters.installation import install as carry_out
    from agent.config import load_settings
    from agent.core.install_plan import Seat
    from agent.core.versions import pip_options

    seat = Seat(PurePosixPath(prefix), user)
    root = root.resolve()
    settings = load_settings(config)
    installation = plan_installation(settings, seat, root)
    if dry_run:
        _say_what_would_be(installation, seat, root)
        return
    systemd.need_root("fieldfare agent install")
    if root == Path("/"):
        systemd.need_systemd()
        provided = provide(Environments(prefix), wanted_version(source), pip_options(index))
    else:
        provided = adopt(Environments(root / seat.prefix.relative_to("/")))
    is_changed = False
    for done in chain(provided, carry_out(installation, root)):
        is_changed = is_changed or done.is_change
        typer.echo(done.text)
    for done in start(installation, is_changed):
        typer.echo(done.text)


def upgrade(
    version: Annotated[str, typer.Argument(metavar="WHEEL|VERSION", help="A wheel of fieldfare, or a version that pip can find.")],
    index: Index = None,
    deadline: Annotated[float, typer.Option(metavar="SECONDS", min=1, max=3600, help="How long it may take to become ready.")] = 180.0,
) -> None:
    """Replace the installed agent by another version, which must become ready; else the one before serves again (exit status 1)."""
    from agent import upgrading
    from agent.adapters import systemd
    from agent.adapters.installation import installed_seat, wanted_version
    from agent.core.versions import pip_options
    from agent.errors import NotInstalledError

    systemd.need_root("fieldfare agent upgrade")
    systemd.need_systemd()
    seat = installed_seat()
    if seat is None:
        raise NotInstalledError
    for done in upgrading.upgrade(upgrading.Upgrade(seat, wanted_version(version), pip_options(index), deadline)):
        typer.echo(done)


def uninstall(
    purge: Annotated[bool, typer.Option("--purge", help="Remove configuration, identity, models and state too.")] = False,
) -> None:
    """Stop the agent and remove it with all it brought; what it was told and what it learned is kept, unless purged."""
    from agent.adapters import systemd
    from agent.adapters.installation import installed_seat
    from agent.adapters.removal import remove
    from agent.core.install_plan import DEFAULT_SEAT, removal

    systemd.need_root("fieldfare agent uninstall")
    systemd.need_systemd()
    for done in remove(removal(installed_seat() or DEFAULT_SEAT, purge)):
        typer.echo(done)


def _say_what_would_be(installation: InstallPlan, seat: Seat, root: Path) -> None:
    if root == Path("/"):
        typer.echo(f"would make a virtual environment in {seat.prefix}/versions, unless one is current")
    for placed in (*installation.system_files, *installation.agent_files):
        typer.echo(f"would write {placed.path} ({placed.mode:04o} {placed.owner}:{placed.group})")
    for command in (*installation.user_commands, *installation.start_commands):
        typer.echo(f"would run {' '.join(command)}")
