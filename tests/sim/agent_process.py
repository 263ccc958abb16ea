"""Runs the agent as the command does, but with the stand-in worker: python -m tests.sim.agent_process CONFIG BEHAVIOURS."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agent.cli import run_until_signalled, start_logging
from agent.config import load_settings
from agent.control.worker import Patience
from agent.wiring import WorkerKind

PATIENCE = Patience(ready_s=20, serving_s=10, silence_s=3, starting_silence_s=8, drain_s=5)

if __name__ == "__main__":
    start_logging("info")
    command = (sys.executable, "-m", "tests.sim.worker", sys.argv[2])
    asyncio.run(run_until_signalled(load_settings(Path(sys.argv[1])), WorkerKind(command, {"onnx": "1.0"}, PATIENCE)))
