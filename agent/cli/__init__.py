"""The commands of a device: `fieldfare agent ...`."""

from __future__ import annotations

import typer

from agent.cli import installing, looking, running

app = typer.Typer(no_args_is_help=True)
agent = typer.Typer(no_args_is_help=True, help="Run, install, look after or upgrade the agent on this device.", rich_markup_mode="rich")
app.add_typer(agent, name="agent")


@agent.callback()
def _agent() -> None:
    """Hold the device's commands together."""


agent.command(epilog=running.RUN_EXAMPLES)(running.run)
agent.command(epilog=running.ENROLL_EXAMPLES)(running.enroll)
agent.command(hidden=True)(running.check)
agent.command(epilog=installing.INSTALL_EXAMPLES)(installing.install)
agent.command(epilog=installing.UPGRADE_EXAMPLES)(installing.upgrade)
agent.command(epilog=installing.UNINSTALL_EXAMPLES)(installing.uninstall)
agent.command(epilog=looking.STATUS_EXAMPLES)(looking.status)
agent.command(epilog=looking.DOCTOR_EXAMPLES)(looking.doctor)
