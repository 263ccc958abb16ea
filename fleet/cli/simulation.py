"""`fieldfare fleet simulate`: plays devices, so that a rollout can be rehearsed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import track
from rich.table import Table

from fleet.cli.client import ApiClient, connected
from fleet.cli.options import AsJson, Folder
from fleet.requests.enrolment import NewSimulatedDevices, SimulationDoor

if TYPE_CHECKING:
    from fleet.simulate.device import Device
    from fleet.simulate.fleet import Standing
    from fleet.simulate.lines import Lines

REFRESH_S = 1.0
BATCH = 1000


def simulate(
    devices: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many devices to play.")] = 100,
    faults: Annotated[Path | None, typer.Option(help="Scenario in TOML: who is slow, flaky or failing, and what befalls them.")] = None,
    prefix: Annotated[str, typer.Option(help="Their names are PREFIX-00000 and so on.")] = "sim",
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so long; without it by Ctrl-C.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Play devices on the machine of a server that was started with --simulation.

    They connect, report, and follow rollouts as real ones do, without models: nothing is downloaded or inferred.

    Example: fieldfare fleet simulate --devices 10000 --faults bad-day.toml
    """
    from fleet.simulate.fleet import make_devices, make_room, standing_of
    from fleet.simulate.lines import Lines
    from fleet.simulate.play import Play
    from fleet.simulate.scenario import Scenario, read_scenario

    scenario = read_scenario(faults) if faults else Scenario()
    make_room(devices)
    random = Random(scenario.seed)  # noqa: S311 - it chooses fates, not secrets
    played = make_devices(scenario, devices, prefix, random)
    with connected(folder) as api:
        door = _introduce(api, played, is_silent=as_json)
    play = Play(scenario, random, metadata.version("fieldfare"))
    lines = Lines(door, play, scenario.faults, random, scenario.health_interval_s)
    lines.add(played, scenario.connect_s)
    until_s = time.time() + seconds if seconds else float("inf")

    def standing() -> Standing:
        return standing_of(played, lines.connected)

    try:
        _show(lines, standing, until_s, is_silent=as_json)
    except KeyboardInterrupt:
        pass
    finally:
        now = standing()
        if as_json:
            words = {phase.value: count for phase, count in now.phases.items()}
            told = {"devices": now.devices, "phases": words, "releases": now.releases, "messages": dict(lines.counts)}
            typer.echo(json.dumps(told, indent=2, sort_keys=True))
        else:
            Console().print(_table(now, lines.counts))


def _introduce(api: ApiClient, played: list[Device], *, is_silent: bool) -> Path:
    from fleet.simulate.fleet import introductions

    waiting, path = introductions(played), ""
    console = Console(stderr=True, quiet=is_silent)
    for _ in track(range(0, len(played), BATCH), "letting devices in", console=console, transient=True):
        batch = NewSimulatedDevices(devices=tuple(islice(waiting, BATCH)))
        path = api.post("simulated-devices", batch, SimulationDoor).path
    return Path(path)


def _show(lines: Lines, standing: Callable[[], Standing], until_s: float, *, is_silent: bool) -> None:
    drawn_s = 0.0
    with Live(console=Console(quiet=is_silent), auto_refresh=False, transient=True) as live:

        def draw() -> bool:
            nonlocal drawn_s
            if not is_silent and time.monotonic() - drawn_s >= REFRESH_S:
                drawn_s = time.monotonic()
                live.update(_table(standing(), lines.counts), refresh=True)
            return True

        lines.run(until_s, draw)


def _table(standing: Standing, counts: Mapping[str, int]) -> Table:
    table = Table(title=f"{standing.connected} of {standing.devices} devices connected", title_justify="left", title_style="none", box=None)
    for column in ("PHASE", "DEVICES", "RELEASE", "DEVICES", "MESSAGES", "COUNT"):
        table.add_column(column, justify="right" if column in ("DEVICES", "COUNT") else "left")
    phases = [(phase.value.replace("_", " "), str(count)) for phase, count in sorted(standing.phases.items())]
    releases = [(name, str(count)) for name, count in sorted(standing.releases.items())]
    messages = [(name, str(count)) for name, count in sorted(counts.items())]
    for row in range(max(len(phases), len(releases), len(messages), 1)):
        cells = [part[row] if row < len(part) else ("", "") for part in (phases, releases, messages)]
        table.add_row(*(cell for pair in cells for cell in pair))
    return table
