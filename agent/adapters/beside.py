"""Decides how short-lived processes of the agent start: each a module of ours, with the priority of work that can wait."""

from __future__ import annotations

import shutil
import sys

# Beside busy workers it still gets a quarter of a core, so that its answer comes in time.
NICENESS = "5"


def beside(module: str) -> list[str]:
    """Return the command that runs a module without taking a core from the workers that serve."""
    nice = shutil.which("nice")
    return [*([nice, "-n", NICENESS] if nice else []), sys.executable, "-m", module]
