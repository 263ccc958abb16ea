"""Reads the fleet for all open pages at once, off the event loop, and never busier than a fraction of the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Generic, TypeVar

from fleet.views import DeviceDetail, DeviceSummary, FleetReader, HealthPoint, InferencePoint, Overview, ReleaseView, RolloutView

# An answer is shared for this long, or for a few times as long as it took: a slow store is asked less often.
FRESH_S = 1.0
REST_FACTOR = 4.0

# What a table can show and a person can read; the pages say when there is more.
MAX_DEVICES = 5000
DEVICES_PER_READ = 500
MAX_ROLLOUTS = 20
# Answers about single devices, rollouts and time ranges that are remembered.
MAX_ANSWERS = 256

Answer = TypeVar("Answer")


class Shared(Generic[Answer]):
    """One question to the fleet, answered once for all who ask at about the same time."""

    def __init__(self, ask: Callable[[], Answer], fresh_s: float = FRESH_S) -> None:
        """`ask` may block; it runs in a thread. An answer is good for `fresh_s`, or longer when it took long."""
        self._fresh_s = fresh_s
        self._ask = ask
        self._lock = asyncio.Lock()
        self._answers: list[Answer] = []
        self._fresh_until = 0.0

    async def get(self) -> Answer:
        """Return an answer that is a moment old at most; raises what `ask` raises."""
        async with self._lock:
            started = time.monotonic()
            if not self._answers or started >= self._fresh_until:
                self._answers = [await asyncio.to_thread(self._ask)]
                ended = time.monotonic()
                self._fresh_until = ended + max(self._fresh_s, REST_FACTOR * (ended - started))
            return self._answers[0]


class Feed:
    """All that the pages ask."""

    def __init__(self, reader: FleetReader) -> None:
        """Ask `reader`."""
        self.overview: Shared[Overview] = Shared(reader.overview)
        self.devices: Shared[tuple[DeviceSummary, ...]] = Shared(partial(_first_devices, reader))
        self.releases: Shared[tuple[ReleaseView, ...]] = Shared(reader.releases)
        self.rollouts: Shared[tuple[RolloutView, ...]] = Shared(partial(reader.rollouts, limit=MAX_ROLLOUTS))
        self._reader = reader
        self._device = lru_cache(MAX_ANSWERS)(lambda device: Shared(partial(reader.device, device)))
        self._rollout = lru_cache(MAX_ANSWERS)(lambda rollout: Shared(partial(reader.rollout, rollout)))
        self._health = lru_cache(MAX_ANSWERS)(lambda device, minutes: Shared(partial(reader.health, device, minutes=minutes)))
        self._inference = lru_cache(MAX_ANSWERS)(lambda device, minutes: Shared(partial(reader.inference, device, minutes=minutes)))

    async def device(self, device: str) -> DeviceDetail:
        """Return one device; raise UnknownDeviceError."""
        return await self._device(device).get()

    async def health(self, device: str, minutes: int) -> tuple[HealthPoint, ...]:
        """Return a device's health of the last `minutes`, oldest first."""
        return await self._health(device, minutes).get()

    async def inference(self, device: str, minutes: int) -> tuple[InferencePoint, ...]:
        """Return a device's windows of the last `minutes`, oldest first."""
        return await self._inference(device, minutes).get()

    async def rollout(self, rollout: int) -> RolloutView:
        """Return one rollout; raise UnknownRolloutError."""
        return await self._rollout(rollout).get()


def _first_devices(reader: FleetReader) -> tuple[DeviceSummary, ...]:
    found: list[DeviceSummary] = []
    while len(found) < MAX_DEVICES:
        page = reader.devices(limit=DEVICES_PER_READ, after=found[-1].id if found else "")
        found += page
        if len(page) < DEVICES_PER_READ:
            break
    return tuple(found[:MAX_DEVICES])
