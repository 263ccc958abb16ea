"""What a download needs of the places that files come from."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from agent.core.basket import Basket
from agent.core.pieces import Found, Taker
from agent.core.transfer import Link
from contracts.downlinks import Offer


class BulkConnection(Protocol):
    """A connection for files; every wait raises LinkLostError when it is gone."""

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send; it may be lost."""

    def heard_by(self, taker: Taker) -> AbstractAsyncContextManager[None]:
        """Let `taker` have each message for as long as the block lasts; others are dropped."""

    async def subscribe(self, *filters: str) -> None:
        """Ask for topics."""

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""

    async def receive(self) -> list[Found]:
        """Return what the taker made of the next messages, at least one."""

    def left(self) -> list[Found]:
        """Return what nobody received, without waiting."""


class BulkBroker(Protocol):
    """Where connections for files come from."""

    def connect_bulk(self) -> AbstractAsyncContextManager[BulkConnection]:
        """Connect, beside the connection for everything else."""


class Source(Protocol):
    """A place that files come from."""

    @property
    def name(self) -> str:
        """Name it in a log."""

    async def fill(self, basket: Basket, bases: tuple[str, ...]) -> Offer | None:
        """Bring what is missing, or an offer to make it from one of `bases`; raise SourceAwayError or SourceFailedError."""

    async def rest(self) -> None:
        """Let go of what is held between files."""


class LinkMemory(Protocol):
    """What is known of the device's link."""

    def load(self) -> Link:
        """Return what was measured last."""

    def save(self, link: Link) -> None:
        """Keep it."""
