"""Reads what the device relies on again and again, without haste, and has damaged files fetched: also those that nobody uses just now."""

from __future__ import annotations

import logging

import anyio

from agent.control.delivery import Delivery
from agent.control.ports.files import Store
from agent.control.reporter import Reporter
from agent.errors import AgentError
from contracts.errors import ContractError
from contracts.messages import ReleaseRef

# Serving comes first after a start.
SETTLE_S = 20.0
EVERY_S = 7 * 86400.0
# A file that could not be fetched again is tried once more after this.
RETRY_S = 3600.0

log = logging.getLogger(__name__)


class Inspection:
    """The care for releases that are committed or kept behind the committed one."""

    def __init__(self, store: Store, delivery: Delivery, reporter: Reporter, settle_s: float = SETTLE_S) -> None:
        """Look at what the slots of `store` name."""
        self._store = store
        self._delivery = delivery
        self._reporter = reporter
        self._settle_s = settle_s

    async def run(self) -> None:
        """Inspect after the start and then every week, for ever."""
        pause_s = self._settle_s
        while True:
            await anyio.sleep(pause_s)
            pause_s = EVERY_S if await self.inspect() else RETRY_S

    async def inspect(self) -> bool:
        """Inspect everything once; say whether all of it is right now."""
        is_right = True
        for model in await anyio.to_thread.run_sync(self._store.models):
            machine = await anyio.to_thread.run_sync(self._store.load, model)
            for release in (machine.current, machine.previous):
                if release is not None and not await self._look(model, release):
                    is_right = False
        return is_right

    async def _look(self, model: str, release: ReleaseRef) -> bool:
        try:
            mended = await self._delivery.mend(release)
        except (AgentError, ContractError, OSError) as error:
            text = f"release {release.release} is damaged on disk, and could not be mended: {error}"
            self._reporter.event("worker", "error", text, model)
            return False
        if mended:
            text = f"release {release.release} was damaged on disk; fetched again: {', '.join(mended)}"
            self._reporter.event("worker", "warning", text, model)
        return True
