"""A server with something of everything, so that no list is empty and most names lead somewhere."""

from __future__ import annotations

from pathlib import Path

from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, wait_for
from tests.sim.device import SimDevice

# What is there, by the name of the path's parameter.
THERE = {"device": "pi-1", "group": "first", "rollout": 1, "name": "timestamp.json"}


def stock(fleet: FleetProcess, folder: Path) -> None:
    """Let devices in, bring one of them a release, and leave traces of what people do."""
    for release in (1, 2):
        make_bundle(folder / f"bundle-{release}", release=release, size=1000)
        fleet.ask("release", "add", str(folder / f"bundle-{release}"))
    with SimDevice(fleet.add_device("pi-1", site="lyon")) as pi, fleet.api as api:
        api.post("rollouts", json={"model": "digits", "query": "id = pi-1", "release": 1}).raise_for_status()
        wait_for(lambda: api.get("rollouts/1").json()["ended_at"])
        pi.send_health()
        for text in ("one", "two"):
            pi.send_event(text)
        api.post("rollouts", json={"model": "digits", "query": "all", "approval": True}).raise_for_status()
        for number in range(3):
            api.put(f"groups/{('first', 'second', 'third')[number]}", json={"devices": ["pi-1"]}).raise_for_status()
            api.post("tokens", json={"name": f"one-{number}", "role": "viewer"}).raise_for_status()
            api.post("devices/pi-1/commands", json={"kind": "logs", "life_s": 1}).raise_for_status()
        wait_for(lambda: len(api.get("devices/pi-1/events").json()["items"]) >= 2)
