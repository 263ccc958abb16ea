"""A fleet that moves, without a server: every answer of FleetReader follows from the time that has passed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Literal

from contracts.lifecycle import Phase
from fleet.core.rollout.interest import INTEREST
from fleet.views.charts import HealthPoint, InferencePoint
from fleet.views.device_details import DeviceDetail, QuarantinedMessage
from fleet.views.devices import DeviceSummary
from fleet.views.overview import Overview
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import DeviceRolloutView, RolloutDeviceView, RolloutView
from tests.sim.moving_cast import (
    CLASSES,
    HARDWARE,
    HEALTH_EVERY_S,
    MODEL,
    character_of,
    moment,
    providers_of,
    ref,
    wave,
)
from tests.sim.moving_devices import MovingDevices
from tests.sim.moving_rollouts import MovingRollouts


class MovingFleet:
    """FleetReader over `count` devices; `now` gives seconds since the epoch, `speed` hurries the rollout."""

    def __init__(self, count: int = 24, *, now: Callable[[], float] = time.time, speed: float = 1.0) -> None:
        """The rollout of release 3 began a while ago."""
        self._now = now
        self._characters = {found.id: found for found in map(character_of, range(count))}
        self._ids = sorted(self._characters)
        self._rollouts = MovingRollouts(self._characters, now, speed)
        self._devices = MovingDevices(self._characters, self._rollouts, now)

    def overview(self) -> Overview:
        devices = [self._devices.summary(id_) for id_ in self._ids]
        releases = Counter(f"{MODEL} {report.current.release}" for device in devices for report in device.models.values() if report.current)
        return Overview(
            devices=len(devices),
            online=sum(device.online for device in devices),
            statuses=dict(Counter(device.status for device in devices)),
            releases=dict(releases),
            rollouts_running=sum(view.state == "running" for view in self.rollouts()),
            hardware=dict(Counter(device.hardware for device in devices)),
            requests_per_s=sum(self._devices.rate(device.id, self._now()) for device in devices if device.online),
        )

    def devices(self, *, limit: int = 200, after: str = "") -> tuple[DeviceSummary, ...]:
        return tuple(self._devices.summary(id_) for id_ in self._ids if id_ > after)[:limit]

    def named(self, ids: tuple[str, ...]) -> tuple[DeviceSummary, ...]:
        return tuple(self._devices.summary(id_) for id_ in self._ids if id_ in ids)

    def device(self, device: str) -> DeviceDetail:
        summary, character = self._devices.summary(device), self._characters[device]
        birth = None if character.is_new else self._devices.birth(character)
        return DeviceDetail(
            **dict(summary),
            birth=birth,
            generation_desired=0 if character.is_new else 4,
            generation_reported=0 if character.is_new else 3 if character.is_offline else 4,
            desired={} if character.is_new else {MODEL: ref(3)},
            newest_time=None if character.is_new else datetime(2026, 1, 2, 11, tzinfo=timezone.utc),
            refused={"rollback": 2} if character.is_offline else {},
            events=() if character.is_new else self._devices.events(character),
        )

    def health(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[HealthPoint, ...]:
        character = self._devices.known(device)
        newest = self._devices.last_word(character)
        count = 0 if character.is_new or newest is None else min(limit, minutes * 60 // HEALTH_EVERY_S)
        stamps = [(newest or 0) - HEALTH_EVERY_S * back for back in reversed(range(count))]
        return tuple(self._devices.health_point(character, at) for at in stamps)

    def inference(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[InferencePoint, ...]:
        character = self._devices.known(device)
        provider, _ = providers_of(character)
        return tuple(
            InferencePoint(
                at=point.at,
                model=MODEL,
                release=2,
                requests_per_s=self._devices.rate(device, point.at.timestamp()),
                errors=0,
                p50_ms=6 + 2 * wave(character, point.at.timestamp(), 90),
                p95_ms=11 + 5 * wave(character, point.at.timestamp(), 70),
                classes={name: int(40 / (rank + 1)) for rank, name in enumerate(CLASSES)},
                provider=provider,
            )
            for point in self.health(device, minutes=minutes, limit=limit)
        )

    def quarantine(self, *, device: str = "", limit: int = 100) -> tuple[QuarantinedMessage, ...]:
        return ()

    def releases(self) -> tuple[ReleaseView, ...]:
        running = self.overview().releases
        verdicts: dict[int, Literal["proven", "unproven", "failed"]] = {3: "proven", 2: "proven", 1: "unproven"}
        return tuple(
            ReleaseView(
                ref=ref(release),
                targets=(*HARDWARE, "cpu"),
                bytes=3_400_000 + 90_000 * release,
                added_at=moment(self._rollouts.start - 86400 * (4 - release)),
                verdict=verdict,
                drops={target: 0.001 * release + 0.0004 * index for index, target in enumerate((*HARDWARE, "cpu"))},
                running_on=running.get(f"{MODEL} {release}", 0),
            )
            for release, verdict in verdicts.items()
        )

    def rollouts(self, *, limit: int = 50, before: int | None = None) -> tuple[RolloutView, ...]:
        found = (self._rollouts.rollout(2), self._rollouts.rollout(1)) if self._ids else ()
        return tuple(view for view in found if before is None or view.id < before)[:limit]

    def taken_part(self, device: str, *, limit: int = 20) -> tuple[DeviceRolloutView, ...]:
        parts = [(view, part) for view in self.rollouts() for part in view.devices if part.device == device]
        return tuple(
            DeviceRolloutView(
                rollout=view.id,
                release=view.release,
                kind="start",
                phase=part.phase,
                reason=part.reason,
                started_at=view.started_at,
                offered_at=None,
                outcome_at=view.ended_at,
            )
            for view, part in parts[:limit]
        )

    def rollout(self, rollout: int) -> RolloutView:
        return self._rollouts.rollout(rollout)

    def rollout_devices(self, rollout: int, phase: Phase | None, *, start: int, limit: int) -> tuple[RolloutDeviceView, ...]:
        members = [device for device in self.rollout(rollout).devices if phase in (None, device.phase)]
        rank = {phase: place for place, phases in enumerate(INTEREST) for phase in phases}
        return tuple(sorted(members, key=lambda device: rank[device.phase])[start : start + limit])
