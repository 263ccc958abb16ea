"""Has every model prove itself anew when the system below it changes while it serves, such as by an upgrade of a driver."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from agent.control.ports.proof import PlatformFacts
from agent.control.reporter import Reporter
from agent.control.supervisor import Supervisor
from agent.errors import AgentError

log = logging.getLogger(__name__)


class Model(Protocol):
    """One model, as far as it matters here."""

    model: str
    supervisor: Supervisor

    @property
    def is_at_rest(self) -> bool:
        """Say whether no update of it is under way."""


class SystemWatch:
    """Looks at the system now and then.

    A worker that serves holds what it loaded, and was proved with that: it serves on while a new one proves itself on the system as
    it is now, and hands over to it without a gap. Where the new one fails, people are told, and the old one serves on until it ends.
    """

    def __init__(self, facts: PlatformFacts, reporter: Reporter, look_s: float) -> None:
        """Look every `look_s`."""
        self._facts = facts
        self._reporter = reporter
        self._look_s = look_s

    async def run(self, models: Callable[[], Iterable[Model]]) -> None:
        """Watch for ever."""
        known = await self._facts.read()
        while True:
            await asyncio.sleep(self._look_s)
            now = await self._facts.read()
            if now == known:
                continue
            log.info("the system has changed: %s", now.changes_since(known))
            # A model that is being updated proves itself anyway, but on what it found when it began.
            if all([await self._prove_anew(model) for model in list(models())]):
                known = now

    async def _prove_anew(self, model: Model) -> bool:
        """Have a model's release served by a worker that proved itself now; False when that has to be tried again later."""
        supervisor = model.supervisor
        serving = supervisor.serving
        if serving is None or serving.has_ended:
            return True  # whoever is started next proves itself
        if not model.is_at_rest:
            return False
        try:
            ready = await supervisor.test(serving.installed)
            if supervisor.candidate is None or supervisor.candidate.ready is not ready:
                return False  # an update has begun, and the candidate is its own
            # None where it made way, because only one can hold the accelerator.
            is_in_time = supervisor.serving in (serving, None) and model.is_at_rest
            if is_in_time and ready.golden_passed:
                await supervisor.switch()
            else:
                await supervisor.discard()
        except AgentError as error:
            is_in_time = model.is_at_rest
            if is_in_time:
                release = serving.installed.release.release
                text = f"release {release} serves on as it is, because a new worker cannot start on the changed system: {error}"
                self._reporter.event("worker", "error", text, model.model)
        return is_in_time
