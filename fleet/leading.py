"""Runs what one server of a fleet alone may do: in every one of them it waits, and in the one that leads it works."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio
from anyio import to_thread

from fleet.errors import FleetError
from fleet.loops import repeat

# Another server takes over within this time, and the time the database needs to see that the leader is gone.
POLL_S = 1.0

log = logging.getLogger("fleet.leading")


class Leader(Protocol):
    """Who knows which server leads."""

    def take(self) -> bool:
        """Lead from now on, if nobody does; raise FleetError."""

    def is_held(self) -> bool:
        """Say whether this server leads."""

    def give_up(self) -> None:
        """Leave the lead to another."""


class Link(Protocol):
    """A connection that only the leader has: what comes over it must be heard once."""

    def open(self) -> None:
        """Connect."""

    def close(self) -> None:
        """Disconnect; `open` may follow."""


@dataclass(frozen=True)
class Duty:
    """Something to do again and again."""

    name: str
    turn: Callable[[], None]
    pause_s: float = 0.0


async def lead(leader: Leader, links: Sequence[Link], duties: Sequence[Duty]) -> None:
    """Do the duties whenever this server leads, until cancelled; a duty's turn is never left in its middle."""
    try:
        while True:
            if await _took(leader):
                await _work(leader, links, duties)
            await anyio.sleep(POLL_S)
    finally:
        leader.give_up()


async def _took(leader: Leader) -> bool:
    try:
        return await to_thread.run_sync(leader.take)
    except FleetError as error:
        log.warning("%s", error)
        return False


async def _work(leader: Leader, links: Sequence[Link], duties: Sequence[Duty]) -> None:
    log.info("this server leads")
    try:
        for link in links:
            link.open()
        async with anyio.create_task_group() as tasks:
            for duty in duties:
                tasks.start_soon(repeat, duty.turn, duty.pause_s, name=duty.name)
            await _until_lost(leader)
            log.warning("this server leads no more")
            tasks.cancel_scope.cancel()
    finally:
        for link in links:
            link.close()
        leader.give_up()


async def _until_lost(leader: Leader) -> None:
    while await to_thread.run_sync(leader.is_held):  # noqa: ASYNC110 - the database can only be asked
        await anyio.sleep(POLL_S)
