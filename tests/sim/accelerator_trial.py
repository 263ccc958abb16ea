"""A real trial of a release on the stand-in accelerator: `python -m tests.sim.accelerator_trial FOLDER '<order as JSON>'`."""

from __future__ import annotations

import sys
from pathlib import Path

from agent import trial
from agent.leash import leash
from agent.runtimes.loaders import LOADERS
from tests.sim.accelerator_worker import Accelerator

if __name__ == "__main__":
    leash()
    folder = Path(sys.argv.pop(1))
    LOADERS["onnx"] = lambda source: Accelerator(folder, source)
    sys.exit(trial.main())
