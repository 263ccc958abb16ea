"""What the control process needs of its line to the broker."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Connection(Protocol):
    """One connection to the broker; every wait raises LinkLostError when it is gone."""

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        """Send, and with QoS 1 wait for the acknowledgement; return its reason code, which `contracts.mqtt_reasons` reads."""

    async def subscribe(self, *filters: str) -> dict[str, int]:
        """Ask for topics; return those that were refused, each with the reason code."""

    def unsubscribe(self, *filters: str) -> None:
        """Ask for topics no longer."""

    async def receive(self) -> list[tuple[str, bytes]]:
        """Return the next messages, at least one, each with its topic."""


class Broker(Protocol):
    """Where connections come from."""

    def connect(self, will_topic: str, will: bytes) -> AbstractAsyncContextManager[Connection]:
        """Connect; the retained will is published unless the block ends in peace."""
