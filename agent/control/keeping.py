"""Brings what waits for the link to the disk itself, now and then: often enough to lose little, seldom enough to spare flash memory."""

from __future__ import annotations

import asyncio

import anyio

from agent.control.ports.outbox import Syncing
from agent.control.reporter import Reporter
from agent.errors import StateError

# A power cut takes at most what was queued within this time and the next fsync; the end of the process takes nothing.
SYNC_S = 30.0


class Keeping:
    """The outbox's housekeeper."""

    def __init__(self, reporter: Reporter, files: Syncing) -> None:
        """Look after the outbox of `reporter`, whose drawers are `files`."""
        self._reporter = reporter
        self._files = files

    async def run(self) -> None:
        """Sync and tidy up for as long as the agent runs."""
        outbox = self._reporter.outbox
        while True:
            await asyncio.sleep(SYNC_S)
            unsynced = outbox.take_unsynced()
            try:
                if unsynced:
                    await anyio.to_thread.run_sync(self._files.sync, unsynced)
            except StateError as error:
                outbox.fail(error)
            else:
                outbox.tend()
            self._reporter.tell_trouble()
