"""Starts a worker: python -m agent.worker '<setup as JSON>'."""

import sys

from agent.lazy import UNUSED, spare
from agent.leash import leash
from agent.worker.priority import step_back

leash()
step_back()
spare(UNUSED)

from agent.worker.main import main  # noqa: E402 - importing a runtime is the first of the work that can wait

main(sys.argv[1:])
