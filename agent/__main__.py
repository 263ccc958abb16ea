"""Starts the control process: python -m agent CONFIG LOG_LEVEL [STATE_DIR]; it is what `fieldfare agent run` becomes."""

import sys

from agent.lazy import UNUSED, spare

spare(UNUSED)

from agent.service import main  # noqa: E402 - what it imports is what `spare` is about

main(sys.argv[1:])
