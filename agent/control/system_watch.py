"""Has every model prove itself anew when the system below it changes while it serves, such as by an upgrade of a driver."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from agent.control.ports.proof import PlatformFacts
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

    def __init__(self, facts: PlatformFacts, look_s: float) -> None:
        """Look every `look_s`."""
        self._facts = facts
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
            if all([await prove_anew(model) for model in list(models())]):
                known = now


async def prove_anew(model: Model) -> bool:
    """Have a model's release served by a worker that proved itself now; False when that has to be tried again later."""
    supervisor = model.supervisor
    serving = supervisor.serving
    if serving is None or serving.has_ended:
        return True  # whoever is started next proves itself
    if not model.is_at_rest:
        return False
    try:
        ready = await supervisor.test(serving.installed)
        if supervisor.serving is not serving or not model.is_at_rest:
            return False  # an update has begun, and the candidate is its own
        if not ready.golden_passed:
            await supervisor.discard()
            return True
        await supervisor.switch()
    except AgentError as error:
        log.warning("%s: serves on as it is, because it cannot prove itself on the changed system: %s", model.model, error)
    return True
