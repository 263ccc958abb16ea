"""A device of which only the settings are set: the agent's real configurator and files, on a panel behind which there is nothing.

    python -m tests.sim.settings_device STATE LAST

takes one revision after the other, up to LAST, and prints each as it reports that it is committed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio

from agent.adapters.configuration_files import ConfigurationFiles
from agent.control.configurator import in_force
from agent.core.configuring import ref_of
from contracts.agent_config import AgentConfig
from contracts.configuration import BASE_REVISION, Configuration, configured
from contracts.lifecycle import Phase
from tests.sim.panel import PROBATION_S, Life, Panel
from tests.sim.panel import live as live_once

BASE = AgentConfig.model_validate(
    {
        "device": {"id": "pi-1", "hardware": "cpu"},
        "broker": {"host": "broker", "port": 8883, "keepalive_s": 1},
        "update": {"probation_s": PROBATION_S},
    }
)
# The revision that is agent.toml itself.
UNTOUCHED = BASE_REVISION


def revision(number: int) -> Configuration:
    """Return a revision; each sets something else."""
    return Configuration(revision=number, settings={} if number == UNTOUCHED else {"telemetry.health_interval_s": float(number)})


def set_to(number: int) -> AgentConfig:
    """Return what agent.toml becomes by a revision."""
    return configured(BASE, revision(number).settings)


async def take(state: Path, number: int) -> Life:
    """Start, and take a revision to its end, whatever becomes of it."""
    return await live_once(state, BASE, revision(number), ConfigurationFiles(state), Panel())


def committed(state: Path) -> int:
    """Return which revision a device would start with now; an error when it is not the one that it committed."""
    files = ConfigurationFiles(state)
    update = files.load()
    ref, config = in_force(files, BASE, update)
    assert ref == update.current, f"expected the committed revision, found that it cannot be read: {update.current}"
    assert ref == ref_of(revision(ref.release))
    assert config == set_to(ref.release)
    return ref.release


async def live(state: Path, last: int) -> None:
    """Take one revision after the other, beginning with the one that was under way."""
    for number in range(max(committed(state), UNTOUCHED) + 1, last + 1):
        life = await take(state, number)
        assert life.report is not None
        assert life.report.phase is Phase.COMMITTED, life.report
        sys.stdout.write(json.dumps({"revision": number}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(live, Path(sys.argv[1]), int(sys.argv[2]))
