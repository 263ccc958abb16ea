"""The fleet's commands: one file for each noun, and imports that wait until a command needs them."""

from __future__ import annotations

import typer

from fleet.cli import (
    audit,
    authority,
    backup,
    commands,
    dashboard,
    devices,
    groups,
    keys,
    labels,
    releases,
    rollouts,
    server,
    simulation,
    tokens,
    users,
    watch,
)

app = typer.Typer(no_args_is_help=True)
server.app.command("simulate")(simulation.simulate)
server.app.command("backup")(backup.backup)
server.app.command("restore")(backup.restore)
app.add_typer(server.app, name="fleet", help="Run the fleet server, or play devices for it.")
app.add_typer(releases.app, name="release", help="Sign and list releases.")
app.add_typer(rollouts.app, name="rollout", help="Bring a release to devices, and watch it arrive.")
app.add_typer(keys.app, name="keys", help="Make, rotate and sign with the keys that stay offline.")
app.add_typer(authority.app, name="authority", help="Replace the authority by which server and devices know each other.")
devices.app.command("command")(commands.command)
devices.app.command("commands")(commands.list_commands)
devices.app.command("costs")(commands.costs)
app.add_typer(devices.app, name="device", help="Let a device in, turn it out, show it, or ask something of it.")
app.add_typer(tokens.app, name="token", help="Let people and programs use the API.")
app.add_typer(users.app, name="user", help="Let people sign in to the dashboard, each in a role.")
app.add_typer(audit.app, name="audit", help="See who did what, and prove that the log is whole.")
devices.app.command("list")(devices.list_devices)
# A word such as -old takes a label away; it is no option.
devices.app.command("label", context_settings={"ignore_unknown_options": True})(labels.label)
app.add_typer(groups.app, name="group", help="Name sets of devices, for queries.")
app.command("devices")(devices.list_devices)
app.command("dashboard")(dashboard.dashboard)
app.command("watch")(watch.watch)
