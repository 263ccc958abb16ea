"""A broker that takes its time: it confirms a subscription only when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SlowBroker:
    """What one connection after the other asked of it; `confirm` lets subscriptions through."""

    def __init__(self) -> None:
        """Nobody is connected."""
        self.filters: list[str] = []
        self.has_birth = asyncio.Event()
        self.has_filters = asyncio.Event()
        self.confirm = asyncio.Event()

    @asynccontextmanager
    async def connect(self, will_topic: str, will: bytes) -> AsyncIterator[SlowBroker]:
        """Connect at once."""
        yield self

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Take a message; the first is a birth."""
        self.has_birth.set()

    async def subscribe(self, *filters: str) -> None:
        """Take note of the filters, and confirm them late."""
        self.filters += filters
        self.has_filters.set()
        await self.confirm.wait()

    def unsubscribe(self, topic_filter: str) -> None:
        """Forget one."""
        self.filters.remove(topic_filter)

    async def receive(self) -> tuple[str, bytes]:
        """Have nothing to say."""
        await asyncio.Event().wait()
        raise AssertionError("unreachable")
