"""Carries out the deeds of one model's update machine, one list of them at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
from anyio.abc import TaskGroup

from agent.core.update import Do, Effect
from agent.errors import AgentError
from contracts.messages import ReleaseRef

Deed = Callable[[ReleaseRef], Awaitable[None]]

# Work that is pointless once the machine has moved on; all other work ends by itself, and must not stop half way.
INTERRUPTIBLE = frozenset({Do.FETCH, Do.STAGE, Do.START_CANDIDATE, Do.START_SHADOW, Do.START_PROBATION})
# Unless it does not end.
STUBBORN_S = 90.0

log = logging.getLogger(__name__)


class Workbench:
    """Where one model's work is done."""

    def __init__(self, model: str, deeds: Mapping[Do, Deed]) -> None:
        """Do for `model` what `deeds` say."""
        self._model = model
        self._deeds = deeds
        self._doing: Do | None = None
        self._is_superseded = False
        self._work = anyio.CancelScope()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def begin(self, tasks: TaskGroup, effects: Sequence[Effect]) -> None:
        """Start on a list of deeds; the one before must be over."""
        self._is_idle.clear()
        tasks.start_soon(self._perform, effects)

    async def clear(self) -> None:
        """End what is under way: the state must not change under work that belongs to the old one."""
        self._is_superseded = True
        if self._doing in INTERRUPTIBLE:
            self._work.cancel()
        with anyio.move_on_after(STUBBORN_S) as patience:
            await self._is_idle.wait()
        if patience.cancelled_caught:
            log.error("%s: %s has not ended in %g s; it is cut short", self._model, self._doing, STUBBORN_S)
            self._work.cancel()
            await self._is_idle.wait()
        self._is_superseded = False

    async def _perform(self, effects: Sequence[Effect]) -> None:
        try:
            with anyio.CancelScope() as self._work:
                for effect in effects:
                    if self._is_superseded and effect.do in INTERRUPTIBLE:
                        break
                    self._doing = effect.do
                    await self._do(effect)
        finally:
            self._doing = None
            self._is_idle.set()

    async def _do(self, effect: Effect) -> None:
        try:
            await self._deeds[effect.do](effect.release)
        except AgentError as error:
            # Work tells the machine of its own failures; what is left is clearing away, which the next end does again.
            log.error("%s: %s of release %d: %s", self._model, effect.do.value, effect.release.release, error)
