"""What the control process needs of its line to the broker."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Connection(Protocol):
    """One connection to the broker; every wait raises LinkLostError when it is gone."""

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> bool:
        """Send, and with QoS 1 wait for the acknowledgement; say whether the message was taken, by the broker itself if it is retained."""

    async def subscribe(self, *filters: str) -> None:
        """Ask for topics."""

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""

    async def receive(self) -> list[tuple[str, bytes]]:
        """Return the next messages, at least one, each with its topic."""


class Broker(Protocol):
    """Where connections come from."""

    def connect(self, will_topic: str, will: bytes) -> AbstractAsyncContextManager[Connection]:
        """Connect; the retained will is published unless the block ends in peace."""
