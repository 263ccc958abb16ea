"""What `fieldfare agent status` and `doctor` say of an agent that was started by hand: while it serves, and after it has left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from contracts.lifecycle import Phase
from tests.agent.conftest import DEVICE, AgentProcess, until
from tests.sim.fleet import SimFleet
from tests.sim.releases import make_release

ROOT = Path(__file__).parents[2]


def ask(device: AgentProcess, command: str) -> Any:
    """Run a command that prints JSON."""
    arguments = [sys.executable, "-m", "cli", "agent", command, "--config", str(device.config), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout)


def test_status_shows_models_and_link_while_the_agent_runs_and_the_models_when_it_has_left(fleet: SimFleet, device: AgentProcess) -> None:
    # Given an agent that serves a release
    release = make_release(1)
    fleet.release(release)
    device.start()
    fleet.wish(DEVICE, 1, release)
    fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED)
    # Then it is shown with its digest, its endpoint and its worker, and the link is up
    until(lambda: ask(device, "status")["models"].get("digits", {}).get("phase") == "committed")
    page = ask(device, "status")
    assert page["is_running"] is True
    assert page["agent"]["is_linked"] is True
    assert page["agent"]["last_contact_at"] is not None
    assert page["agent"]["workers"]["digits"]["state"] == "serving"
    assert page["models"]["digits"]["current"]["manifest_sha256"] == release.manifest.sha256
    assert page["models"]["digits"]["endpoint"] == f"http://127.0.0.1:{device.serve_port}"
    # And a doctor finds a link that both sides accept
    verdicts = {finding["check"]: finding["verdict"] for finding in ask(device, "doctor")}
    assert (verdicts["link"], verdicts["certificate"], verdicts["disk"]) == ("ok", "ok", "ok")
    # When it has left, then what it holds is read from its disk
    device.stop()
    until(lambda: ask(device, "status")["is_running"] is False, timeout_s=60)
    assert ask(device, "status")["models"]["digits"]["current"]["manifest_sha256"] == release.manifest.sha256
