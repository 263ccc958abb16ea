"""The examples that the help of each of the fleet's commands ends with, by the command's words."""

from __future__ import annotations

from collections.abc import Mapping

import typer

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "fleet up": ("fieldfare fleet up", "fieldfare fleet up --host 0.0.0.0 --public-name fleet.example.org"),
    "fleet simulate": ("fieldfare fleet simulate --devices 100",),
    "fleet backup": ("fieldfare fleet backup fleet-monday.tar",),
    "fleet restore": ("fieldfare fleet restore fleet-monday.tar --dir restored",),
    "release add": ("fieldfare release add build/digits-1", "fieldfare release add build/digits-1 --key targets-1.pem"),
    "release list": ("fieldfare release list",),
    "authority show": ("fieldfare authority show",),
    "authority dependents": ("fieldfare authority dependents",),
    "authority rotate": ("fieldfare authority rotate",),
    "authority finish": ("fieldfare authority finish",),
    "keys init": ("fieldfare keys init --out ring --root-keys 3 --root-threshold 2",),
    "keys make": ("fieldfare keys make alice.pem",),
    "keys show": ("fieldfare keys show",),
    "keys rotate": ("fieldfare keys rotate timestamp --key root-1.pem --key root-2.pem",),
    "keys delegate": ("fieldfare keys delegate digits --team-key alice.pub --key targets-1.pem",),
    "keys sign": ("fieldfare keys sign pending.json --key root-3.pem",),
    "rollout start": (
        "fieldfare rollout start digits --to all --dry-run",
        "fieldfare rollout start digits --to 'hw = rpi5 and label.site = lyon' --wait",
        "fieldfare rollout start digits --to all --strategy canary --waves 1%,10%,100%",
    ),
    "rollout approve": ("fieldfare rollout approve 3",),
    "rollout pause": ("fieldfare rollout pause 3",),
    "rollout resume": ("fieldfare rollout resume 3",),
    "rollout promote": ("fieldfare rollout promote 3",),
    "rollout abort": ("fieldfare rollout abort 3 --wait",),
    "rollout rollback": ("fieldfare rollout rollback 3 --wait",),
    "rollout retry": ("fieldfare rollout retry 3 --wait",),
    "rollout show": ("fieldfare rollout show", "fieldfare rollout show 3 --history"),
    "rollout list": ("fieldfare rollout list",),
    "devices": ("fieldfare devices", "fieldfare devices --where 'hw = rpi5 and not online'"),
    "device configure": ("fieldfare device configure pi-1 --set telemetry.health_interval_s=30",),
    "device settings": ("fieldfare device settings --state refused",),
    "device token": ("fieldfare device token --name pi-1 --hardware rpi5 --label site=lyon",),
    "device revoke": ("fieldfare device revoke pi-1",),
    "device remove": ("fieldfare device remove pi-1 --keep-history",),
    "device show": ("fieldfare device show pi-1",),
    "device quarantine": ("fieldfare device quarantine pi-1",),
    "device command": (
        "fieldfare device command pi-1 logs --lines 100 --wait",
        "fieldfare device command pi-1 benchmark --runs 200 --wait",
    ),
    "device commands": ("fieldfare device commands pi-1",),
    "device costs": ("fieldfare device costs -o costs.json",),
    "device list": ("fieldfare device list --where 'status = offline'",),
    "device label": ("fieldfare device label pi-1 site=oslo -old", "fieldfare device label --to 'hw = rpi5' ring=canary"),
    "group list": ("fieldfare group list",),
    "group show": ("fieldfare group show canaries",),
    "group set": ("fieldfare group set canaries --where 'label.ring = canary'",),
    "group remove": ("fieldfare group remove canaries",),
    "token create": ("fieldfare token create ci --role operator --expires 90d",),
    "token list": ("fieldfare token list",),
    "token revoke": ("fieldfare token revoke ci",),
    "user add": ("fieldfare user add ana --role operator",),
    "user list": ("fieldfare user list",),
    "user password": ("fieldfare user password ana",),
    "user role": ("fieldfare user role ana admin",),
    "user remove": ("fieldfare user remove ana",),
    "audit list": ("fieldfare audit list --since 24h --who ana",),
    "audit verify": ("fieldfare audit verify",),
    "audit export": ("fieldfare audit export > audit.jsonl",),
    "watch": ("fieldfare watch", "fieldfare watch pi-1 pi-2"),
    "dashboard": ("fieldfare dashboard",),
}


def show_examples(app: typer.Typer) -> None:
    """End the help of each of a part's commands with its examples."""
    group = f"{app.info.name} " if isinstance(app.info.name, str) else ""
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        if found := EXAMPLES.get(group + name):
            command.epilog = "\n\n".join(("[bold]Examples[/bold]", *found))
