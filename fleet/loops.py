"""Runs blocking work again and again beside the event loop, each loop in a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio import CapacityLimiter, to_thread

from fleet.errors import FleetError

log = logging.getLogger("fleet.loops")


async def repeat(turn: Callable[[], None], pause_s: float) -> None:
    """Call `turn` until cancelled; an error that the fleet knows is logged, once while it stays the same, and the next turn tries again."""
    thread = CapacityLimiter(1)  # our own, so that API requests cannot starve a loop
    logged = ""
    while True:
        try:
            await to_thread.run_sync(turn, limiter=thread)
            logged = ""
        except FleetError as error:
            if str(error) != logged:
                log.warning("%s", error)
            logged = str(error)
        await anyio.sleep(pause_s)
