"""The broker of a simulated day: it goes down, refuses and comes back when told to, and counts what it heard."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from agent.errors import LinkLostError
from contracts.messages import InferenceWindow
from contracts.mqtt_reasons import TAKEN
from contracts.topics import of_device

DEVICE = "pi-1"
BOOT = datetime(2026, 11, 21, tzinfo=timezone.utc)
LATER = BOOT + timedelta(days=36_500)
LATENCY_S = 0.05


@dataclass
class Heard:
    """What the fleet heard, in numbers that do not grow with the day."""

    messages: Counter[str] = field(default_factory=Counter)
    windows: int = 0
    missing: int = 0
    repeated: int = 0
    dropped: int = 0
    merged: int = 0
    earliest: datetime = LATER
    # The newest window of each session.
    ordinals: dict[str, int] = field(default_factory=dict)

    def hear(self, leaf: str, payload: bytes) -> None:
        """Take a message."""
        self.messages[leaf] += 1
        if leaf == "event" and b'"dropped_windows"' in payload:
            self.dropped += int(json.loads(payload)["facts"]["dropped_windows"])
        if leaf != "inference":
            return
        one = InferenceWindow.model_validate_json(payload)
        assert one.ordinal is not None
        self.earliest = min(self.earliest, one.sent_at)
        last, parts = self.ordinals.get(one.session, 0), one.parts or 1
        if one.ordinal <= last:
            self.repeated += 1
            return
        self.merged += parts > 1
        self.windows += parts
        self.missing += one.ordinal - parts - last
        self.ordinals[one.session] = one.ordinal


class SimConnection:
    """One connection, until it is lost."""

    def __init__(self, broker: SimBroker) -> None:
        """Connect to `broker`."""
        self._broker = broker
        self._inbox: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(maxsize=64)
        self.loss: LinkLostError | None = None

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        """Take a message, which arrives although its acknowledgement may be lost."""
        self._check()
        if qos:
            self._broker.heard.hear(topic.rpartition("/")[2], payload)
            await asyncio.sleep(LATENCY_S)
            self._check()
        return TAKEN

    async def subscribe(self, *filters: str) -> dict[str, int]:
        """Send what is retained."""
        await asyncio.sleep(LATENCY_S)
        self._check()
        self.tell(self._broker.desired)
        return {}

    def unsubscribe(self, *filters: str) -> None:
        """Send no more of these."""

    async def receive(self) -> list[tuple[str, bytes]]:
        """Wait for a message."""
        message = await self._inbox.get()
        self._check()
        assert message is not None
        return [message]

    def tell(self, desired: bytes) -> None:
        """Send a wish."""
        if not self._inbox.full():
            self._inbox.put_nowait((of_device(DEVICE, "desired"), desired))

    def lose(self, loss: LinkLostError) -> None:
        """Be cut off."""
        self.loss = loss
        if not self._inbox.full():
            self._inbox.put_nowait(None)

    def _check(self) -> None:
        if self.loss is not None:
            raise self.loss


class SimBroker:
    """A broker that takes the device's one connection."""

    def __init__(self) -> None:
        """Be up, and have heard nothing."""
        self.heard = Heard()
        self.desired = b"1"
        self.connects = 0
        self.refuses_with: int | None = None
        self._is_up = True
        self._connection: SimConnection | None = None

    @property
    def is_up(self) -> bool:
        """Say whether it can be reached."""
        return self._is_up

    @asynccontextmanager
    async def connect(self, will_topic: str, will: bytes) -> AsyncIterator[SimConnection]:
        """Connect, or refuse."""
        await asyncio.sleep(LATENCY_S)
        if not self._is_up or self.refuses_with is not None:
            raise LinkLostError("simulated", "no answer" if not self._is_up else "a refusal", self.refuses_with)
        self.connects += 1
        self._connection = SimConnection(self)
        try:
            yield self._connection
        finally:
            self._connection = None

    def go_down(self, reason_code: int | None = None) -> None:
        """Cut the connection, and answer no more."""
        self._is_up = False
        if self._connection is not None:
            self._connection.lose(LinkLostError("simulated", "the end", reason_code))

    def come_up(self) -> None:
        """Answer again."""
        self._is_up = True

    def wish(self, desired: bytes) -> None:
        """Retain a wish, and send it."""
        self.desired = desired
        if self._connection is not None:
            self._connection.tell(desired)
