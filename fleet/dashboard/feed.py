"""Reads the fleet for all open pages at once, off the event loop, and never busier than a fraction of the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Generic, TypeVar

from contracts.lifecycle import Phase
from fleet.dashboard.ports import Services
from fleet.views.charts import HealthPoint, InferencePoint
from fleet.views.commands import CommandSummary
from fleet.views.device_details import DeviceDetail
from fleet.views.devices import DeviceSummary
from fleet.views.overview import Overview
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import DeviceRolloutView, RolloutDeviceView, RolloutView
from fleet.views.targeting import GroupView

# An answer is shared for this long, or for a few times as long as it took: a slow store is asked less often.
FRESH_S = 1.0
REST_FACTOR = 4.0
# Which groups a device is in takes a question for each group.
GROUPS_FRESH_S = 15.0

# What a page of the table holds.
DEVICES_PER_PAGE = 50
MAX_ROLLOUTS = 20
MAX_COMMANDS = 20
MAX_GROUPS = 200
# What the overview has room for.
MAX_ATTENTION = 8
ATTENTION = "status in (offline, degraded)"
# Answers about single devices, pages, rollouts and time ranges that are remembered.
MAX_ANSWERS = 256

Answer = TypeVar("Answer")


class Shared(Generic[Answer]):
    """One question to the fleet, answered once for all who ask at about the same time."""

    def __init__(self, ask: Callable[[], Answer], fresh_s: float = FRESH_S, clock: Callable[[], float] = time.monotonic) -> None:
        """`ask` may block; it runs in a thread. An answer is good for `fresh_s`, by `clock` in seconds, or longer when it took long."""
        self._fresh_s = fresh_s
        self._clock = clock
        self._ask = ask
        self._lock = asyncio.Lock()
        self._answers: list[Answer] = []
        self._fresh_until = 0.0

    async def get(self) -> Answer:
        """Return an answer that is a moment old at most; raises what `ask` raises."""
        async with self._lock:
            started = self._clock()
            if not self._answers or started >= self._fresh_until:
                self._answers = [await asyncio.to_thread(self._ask)]
                ended = self._clock()
                self._fresh_until = ended + max(self._fresh_s, REST_FACTOR * (ended - started))
            return self._answers[0]

    def outdate(self) -> None:
        """Ask anew next time, because something was just changed here."""
        self._fresh_until = 0.0


@dataclass(frozen=True)
class DevicePage:
    """Some of the devices that a query means, in the order asked for."""

    devices: tuple[DeviceSummary, ...]
    total: int


class Feed:
    """All that the pages ask."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask them; nothing is read before a page wants it, and how fresh it is goes by `clock`, in seconds."""
        reader, groups = services.reader, services.groups
        self._services = services
        self._clock = clock
        self.overview: Shared[Overview] = self._shared(reader.overview)
        self.releases: Shared[tuple[ReleaseView, ...]] = self._shared(reader.releases)
        self.groups: Shared[tuple[GroupView, ...]] = self._shared(lambda: groups.groups(MAX_GROUPS, "", services.now()).items)
        self._rollouts = lru_cache(MAX_ANSWERS)(
            lambda before: self._shared(partial(reader.rollouts, limit=MAX_ROLLOUTS + 1, before=before))
        )
        self._devices = lru_cache(MAX_ANSWERS)(lambda *asked: self._shared(partial(self._read_devices, *asked)))
        self._device = lru_cache(MAX_ANSWERS)(lambda device: self._shared(partial(reader.device, device)))
        self._groups_of = lru_cache(MAX_ANSWERS)(lambda device: self._shared(partial(self._read_groups_of, device), GROUPS_FRESH_S))
        self._taken_part = lru_cache(MAX_ANSWERS)(lambda device: self._shared(partial(reader.taken_part, device)))
        self._commands = lru_cache(MAX_ANSWERS)(lambda device: self._shared(partial(self._read_commands, device)))
        self._rollout = lru_cache(MAX_ANSWERS)(lambda rollout: self._shared(partial(reader.rollout, rollout)))
        self._rollout_devices = lru_cache(MAX_ANSWERS)(
            lambda rollout, phase, start, limit: self._shared(partial(reader.rollout_devices, rollout, phase, start=start, limit=limit))
        )
        self._health = lru_cache(MAX_ANSWERS)(lambda device, minutes: self._shared(partial(reader.health, device, minutes=minutes)))
        self._inference = lru_cache(MAX_ANSWERS)(lambda device, minutes: self._shared(partial(reader.inference, device, minutes=minutes)))

    async def devices(self, query: str, order: str, start: int, limit: int = DEVICES_PER_PAGE) -> DevicePage:
        """Return a page of the devices that a query means; raise QueryError or UnknownGroupError."""
        page: DevicePage = await self._devices(query, order, start, limit).get()
        return page

    async def attention(self) -> DevicePage:
        """Return those that need somebody, the most urgent first."""
        return await self.devices(ATTENTION, "status", 0, MAX_ATTENTION)

    async def device(self, device: str) -> DeviceDetail:
        """Return one device; raise UnknownDeviceError."""
        return await self._device(device).get()

    async def groups_of(self, device: str) -> tuple[str, ...]:
        """Return the names of the groups that a device is in."""
        return await self._groups_of(device).get()

    async def taken_part(self, device: str) -> tuple[DeviceRolloutView, ...]:
        """Return how a device's newest rollouts went there."""
        return await self._taken_part(device).get()

    async def commands(self, device: str) -> tuple[CommandSummary, ...]:
        """Return what was asked of a device, newest first."""
        return await self._commands(device).get()

    async def health(self, device: str, minutes: int) -> tuple[HealthPoint, ...]:
        """Return a device's health of the last `minutes`, oldest first."""
        return await self._health(device, minutes).get()

    async def inference(self, device: str, minutes: int) -> tuple[InferencePoint, ...]:
        """Return a device's windows of the last `minutes`, oldest first."""
        return await self._inference(device, minutes).get()

    async def rollouts(self, before: int | None = None) -> tuple[tuple[RolloutView, ...], bool]:
        """Return the newest rollouts, or the newest of those begun before one, and whether there are more."""
        found: tuple[RolloutView, ...] = await self._rollouts(before).get()
        return found[:MAX_ROLLOUTS], len(found) > MAX_ROLLOUTS

    async def rollout(self, rollout: int) -> RolloutView:
        """Return one rollout without its devices; raise UnknownRolloutError."""
        return await self._rollout(rollout).get()

    async def rollout_devices(self, rollout: int, phase: Phase | None, start: int, limit: int) -> tuple[RolloutDeviceView, ...]:
        """Return devices of a rollout in one phase or in any, those that people want to see first, from the `start`-th on."""
        return await self._rollout_devices(rollout, phase, start, limit).get()

    def changed(self, *, device: str | None = None, rollout: int | None = None) -> None:
        """Look anew at what somebody here just changed."""
        if rollout is not None:
            self._rollout(rollout).outdate()
            self._rollout_devices.cache_clear()
        if device is not None:
            self._device(device).outdate()
            self._groups_of(device).outdate()
            self._commands(device).outdate()
        self.groups.outdate()
        self._devices.cache_clear()

    def _shared(self, ask: Callable[[], Answer], fresh_s: float = FRESH_S) -> Shared[Answer]:
        return Shared(ask, fresh_s, self._clock)

    def _read_devices(self, query: str, order: str, start: int, limit: int) -> DevicePage:
        ids, total = self._services.targeting.listed(query, order, start, limit, self._services.now())
        found = {device.id: device for device in self._services.reader.named(ids)}
        return DevicePage(tuple(found[id_] for id_ in ids if id_ in found), total)

    def _read_groups_of(self, device: str) -> tuple[str, ...]:
        now, targeting = self._services.now(), self._services.targeting
        names = [group.name for group in self._services.groups.groups(MAX_GROUPS, "", now).items]
        return tuple(name for name in names if targeting.page(f'id = "{device}" and group = "{name}"', "", 1, now))

    def _read_commands(self, device: str) -> tuple[CommandSummary, ...]:
        return self._services.commands.commands(device, self._services.now(), MAX_COMMANDS).items
