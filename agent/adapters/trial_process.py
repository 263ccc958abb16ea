"""Touches the process that runs a release beside the worker that serves it, with the priority of work that can wait."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from agent.adapters.errand import Errand
from agent.core.trial import MAX_ANSWER_BYTES, TRIAL_ANSWER, TrialAnswer, TrialOrder
from agent.errors import CommandError

# Beside a process of common priority it gets about a tenth of a core, and all of one that is idle.
STEPPING_BACK = (("nice", "-n", "10"),)


class TrialProcess:
    """Runs `python -m agent.trial`."""

    def __init__(self, command: Sequence[str]) -> None:
        """Run `command` with the order appended."""
        self._errand = Errand(command, STEPPING_BACK, MAX_ANSWER_BYTES)

    async def run(self, order: TrialOrder) -> TrialAnswer:
        """Return how it went; raise CommandError with the process's last lines. Cancelled, it leaves no process behind."""
        try:
            ended = await self._errand.run(order.model_dump_json())
        except OSError as error:
            raise CommandError(f"{order.kind}: expected a process, found {error}") from error
        if ended.trouble:
            raise CommandError(f"{order.kind}: expected an answer, found {ended.trouble}")
        try:
            return TRIAL_ANSWER.validate_json(ended.said)
        except ValidationError as error:
            raise CommandError(f"{order.kind}: expected an answer, found {ended.said[:200]!r}") from error
