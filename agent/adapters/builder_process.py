"""Touches the process that builds an engine: started out of everybody's way, so that what serves meanwhile is not slowed down."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from agent.adapters.errand import Errand
from agent.core.engines import MAX_BUILT_BYTES, BuildOrder, Built
from agent.errors import EngineError

# Idle to the disk and to the processor, wherever the system's own tools are there to say so.
STEPPING_BACK = (("ionice", "-c", "3"), ("chrt", "--idle", "0"), ("nice", "-n", "19"))


class BuilderProcess:
    """Runs `python -m agent.builder`, or what stands in for it."""

    def __init__(self, command: Sequence[str], stepping_back: Sequence[Sequence[str]] = STEPPING_BACK) -> None:
        """Run `command` with the order appended, by commands that make it step back: on a machine without a free moment it stands still."""
        self._errand = Errand(command, stepping_back, MAX_BUILT_BYTES)

    async def build(self, order: BuildOrder) -> Built:
        """Build into the order's folder; raise EngineError with the builder's last lines. Cancelled, it leaves no process behind."""
        try:
            ended = await self._errand.run(order.model_dump_json())
        except OSError as error:
            raise EngineError(f"a builder that cannot be started: {error}") from error
        if ended.trouble:
            raise EngineError(ended.trouble)
        try:
            return Built.model_validate_json(ended.said)
        except ValidationError as error:
            raise EngineError(f"a builder that said {ended.said[:200]!r}") from error
