"""One fleet with one agent, started as a user would, that runs release 1 of the digits model."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.digits import demo
from examples.digits.stage import Stage, wait_until
from tests.live.ports import free_port

SETTINGS = ("telemetry.health_interval_s=1", "telemetry.window_s=2", "update.probation_s=1", "broker.keepalive_s=2")


@dataclass
class Fleet:
    """The stage, and the agent that now runs for the device."""

    stage: Stage
    device: str
    agent: subprocess.Popen[bytes]

    def restart_agent(self) -> None:
        """Start the device's agent again on the state that the last one left."""
        self.agent = self.stage.start(self.device, "agent", "run", "--config", self.stage.folder / self.device / "agent.toml")

    def report(self) -> dict[str, object]:
        """Return what the fleet knows of the device's digits model; empty while it knows nothing."""
        models = self.stage.asked("device", "show", self.device)["models"]
        report: dict[str, object] = models.get("digits", {})
        return report

    @property
    def is_online(self) -> bool:
        return bool(self.stage.asked("device", "show", self.device)["online"])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("journey")
    with Stage(folder, lambda _preferred: free_port()) as stage:
        demo.compile_model(stage)
        demo.start_fleet(stage)
        agent = demo.start_agent(stage, "pi-1", "rpi5", *SETTINGS)
        fleet = Fleet(stage, "pi-1", agent)
        wait_until("the device online", lambda: fleet.is_online)
        stage.fieldfare("release", "add", folder / "release-1")
        stage.fieldfare("rollout", "start", "digits", "--to", "all", "--wait")
        yield fleet
