"""Hands what a network thread received to the event loop: bounded in bytes, and the thread waits while it is full."""

from __future__ import annotations

import asyncio
import threading

# A thread that waits longer cannot answer the broker's pings either.
PATIENCE_S = 5.0


class Inbox:
    """Messages in order; filled by one thread, emptied by the loop it was made on."""

    def __init__(self, max_bytes: int) -> None:
        """Keep up to `max_bytes` of payload; one message is taken whatever its size."""
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._room = threading.Condition()
        self._messages: list[tuple[str, bytes]] = []
        self._bytes = 0
        self._is_closed = False
        self._news = asyncio.Event()

    def put(self, topic: str, payload: bytes) -> bool:
        """Add a message, waiting for room; False when there was none in time. Called by the thread."""
        with self._room:
            if not self._room.wait_for(lambda: self._is_closed or self._fits(payload), PATIENCE_S) or self._is_closed:
                return self._is_closed
            self._messages.append((topic, payload))
            self._bytes += len(payload)
            is_first = len(self._messages) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._news.set)
        return True

    def close(self) -> None:
        """Take no more, and wake whoever waits. Called on the loop."""
        with self._room:
            self._is_closed = True
            self._room.notify_all()
        self._news.set()

    async def take(self) -> list[tuple[str, bytes]]:
        """Return all that came, waiting for a first message; nothing once the inbox is closed and empty."""
        while True:
            await self._news.wait()
            with self._room:
                messages, self._messages, self._bytes = self._messages, [], 0
                self._room.notify_all()
                if not self._is_closed:
                    self._news.clear()
                if messages or self._is_closed:
                    return messages

    def _fits(self, payload: bytes) -> bool:
        return not self._messages or self._bytes + len(payload) <= self._max_bytes
