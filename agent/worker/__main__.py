"""Starts a worker: python -m agent.worker '<setup as JSON>'."""

import sys

from agent.worker.main import main

main(sys.argv[1:])
