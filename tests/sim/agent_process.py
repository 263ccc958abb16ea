"""Runs the agent as the command does, but with stand-ins for its other programs.

    python -m tests.sim.agent_process CONFIG BEHAVIOURS [BUILDER [SYSTEM]]

BEHAVIOURS are the stand-in worker's, BUILDER those of the stand-in builder; under SYSTEM the system's own files are looked for.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agent.config import load_settings
from agent.control.worker import Patience
from agent.ground import WorkerKind
from agent.service import run_until_signalled, start_logging

# What a hung worker is known by is short; a start takes as long as a busy machine makes it.
PATIENCE = Patience(ready_s=100, serving_s=30, silence_s=4, starting_silence_s=30, drain_s=10)

if __name__ == "__main__":
    start_logging("info")
    worker, builder, system = (sys.argv[2:] + ["{}", "/"][len(sys.argv) - 3 :])[:3]
    kind = WorkerKind(
        (sys.executable, "-m", "tests.sim.worker", worker),
        {"onnx": "1.0"},
        PATIENCE,
        (sys.executable, "-m", "tests.sim.builder", builder),
        system=Path(system),
    )
    asyncio.run(run_until_signalled(load_settings(Path(sys.argv[1])), kind))
