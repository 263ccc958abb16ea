"""How a device numbers what it says: whoever counts its messages must miss none that was not lost."""

from __future__ import annotations

import json
from pathlib import Path

from agent.adapters.outbox_files import OutboxFiles
from agent.control.reporter import Identity, Reporter
from agent.core.memory import Memory
from contracts.agent_config import DeviceSection
from contracts.commands import Logs
from tests.sim.shelf import outbox_in
from tests.sim.small_device import MACHINE


def test_an_answer_to_a_command_takes_no_number_for_the_fleet_counts_only_what_it_hears_elsewhere(tmp_path: Path) -> None:
    identity = Identity(DeviceSection(id="pi-1", hardware="cpu"), "0", {}, MACHINE, "0" * 16)
    reporter = Reporter(identity, Memory(), outbox_in(OutboxFiles(tmp_path)))
    first = json.loads(reporter.reported())["sequence"]
    # When a command is answered
    for state, found in (("running", None), ("ok", Logs(source="memory", text="a line"))):
        reporter.result("0" * 32, state, "", found)  # type: ignore[arg-type]  # both are states
    # Then the next message follows the one before
    assert json.loads(reporter.reported())["sequence"] == first + 1
