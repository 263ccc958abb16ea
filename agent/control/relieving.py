"""Replaces a worker that grows, or was started under other terms than hold now: in good order, and not again and again."""

from __future__ import annotations

import random
import time

from agent.control.crew import Crew
from agent.control.worker import Patience, Worker
from agent.core.alarm import Alarm
from agent.core.relief import Relief
from agent.errors import AgentError


class Relieving:
    """Which worker is to be replaced, and when that may be tried."""

    def __init__(self, crew: Crew) -> None:
        """Replace workers of `crew`; none is to be yet."""
        # Why the successor of the outdated worker did not come up.
        self.refit_failure = ""
        self._crew = crew
        self._relief = Relief()
        self._outdated: Worker | None = None

    def outdate(self) -> None:
        """Have the worker that serves replaced: it was started under other terms than hold now."""
        self._outdated, self.refit_failure = self._crew.serving, ""
        self._relief = Relief()

    def begin_anew(self) -> None:
        """Forget what was tried with another release."""
        self._relief = Relief()

    def is_fit(self, worker: Worker | None) -> bool:
        """Say whether a worker was started under the terms that hold now."""
        return worker is not self._outdated

    def is_due(self, worker: Worker) -> bool:
        """Say whether a worker is to be replaced now."""
        is_wanted = bool(worker.tiredness) or not self.is_fit(worker)
        return is_wanted and time.monotonic() >= self._relief.due_s

    async def relieve(self, worker: Worker, patience: Patience) -> bool:
        """Replace a worker in good order, which serves until another one does; say whether another one does."""
        self._relief = self._relief.tried(time.monotonic(), self._crew.served_s, random.random())  # noqa: S311 - spreads load
        release, tell = worker.installed.release, self._crew.voice.tell
        reason = worker.tiredness or "its settings have changed"
        tell(release, Alarm("warning" if worker.tiredness else "info", "tired", f"is being replaced: {reason}"))
        try:
            fresh = await self._crew.succeed(worker.installed, patience)
        except AgentError as error:
            self.refit_failure = str(error)
            tell(release, Alarm("warning", "tired", f"serves on, because its replacement failed: {error}"))
            return False
        self._crew.take_over(fresh)
        tell(release, Alarm("info", "up", "was replaced without a gap"))
        return True
