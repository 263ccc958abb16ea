"""A fleet that moves, without a server: every answer of FleetReader follows from the time that has passed."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal

from contracts.codec import sha256_of
from contracts.lifecycle import FINAL, Phase
from contracts.messages import Birth, Health, Machine, ModelReport, Outcome, ReleaseRef, WorkerHealth
from fleet.core.rollout.interest import INTEREST
from fleet.errors.devices import UnknownDeviceError
from fleet.errors.rollouts import UnknownRolloutError
from fleet.views import (
    DeviceDetail,
    DeviceRolloutView,
    DeviceSummary,
    EventView,
    HealthPoint,
    InferencePoint,
    Overview,
    QuarantinedMessage,
    ReleaseView,
    RolloutDeviceView,
    RolloutView,
)

HARDWARE = ("rpi5", "jetson-orin", "coral", "rpi4")
PREFERRED = {"rpi5": "XNNPACK", "jetson-orin": "TensorrtExecutionProvider", "coral": "EdgeTPU", "rpi4": "XNNPACK"}
CLASSES = ("fieldfare", "blackbird", "song thrush", "redwing", "robin", "none")
MODEL = "birds"
HEALTH_EVERY_S = 10
GIB = 1 << 30
# How far the rollout is at the start, and when the last device has its turn.
UNDER_WAY_S, TURNS_S = 80, 110
# When each phase of the rollout begins on a device, in seconds after its turn came.
SCHEDULE = (
    (0.0, Phase.OFFERED),
    (2.0, Phase.FETCHING),
    (14.0, Phase.STAGING),
    (17.0, Phase.TESTING),
    (20.0, Phase.SWITCHING),
    (21.0, Phase.PROBATION),
    (30.0, Phase.COMMITTED),
)


def ref(release: int, model: str = MODEL) -> ReleaseRef:
    """Name a release."""
    return ReleaseRef(model=model, release=release, manifest_sha256=sha256_of(f"{model} {release}".encode()))


@dataclass(frozen=True)
class Character:
    """What is peculiar about one device."""

    number: int
    is_offline: bool
    is_new: bool
    falls_back: bool
    rolls_back: bool

    @property
    def hardware(self) -> str:
        return HARDWARE[self.number % len(HARDWARE)]

    @property
    def id(self) -> str:
        return f"{self.hardware}-{self.number:04d}"


class MovingFleet:
    """FleetReader over `count` devices; `now` gives seconds since the epoch, `speed` hurries the rollout."""

    def __init__(self, count: int = 24, *, now: Callable[[], float] = time.time, speed: float = 1.0) -> None:
        """The rollout of release 3 began a while ago."""
        self._now = now
        self._speed = speed
        self._start = now() - UNDER_WAY_S / speed
        self._characters = {found.id: found for found in map(_character, range(count))}
        self._ids = sorted(self._characters)

    def overview(self) -> Overview:
        devices = [self._summary(id_) for id_ in self._ids]
        releases = Counter(f"{MODEL} {report.current.release}" for device in devices for report in device.models.values() if report.current)
        return Overview(
            devices=len(devices),
            online=sum(device.online for device in devices),
            statuses=dict(Counter(device.status for device in devices)),
            releases=dict(releases),
            rollouts_running=sum(view.state == "running" for view in self.rollouts()),
            hardware=dict(Counter(device.hardware for device in devices)),
            requests_per_s=sum(self._rate(device.id, self._now()) for device in devices if device.online),
        )

    def devices(self, *, limit: int = 200, after: str = "") -> tuple[DeviceSummary, ...]:
        return tuple(self._summary(id_) for id_ in self._ids if id_ > after)[:limit]

    def named(self, ids: tuple[str, ...]) -> tuple[DeviceSummary, ...]:
        return tuple(self._summary(id_) for id_ in self._ids if id_ in ids)

    def device(self, device: str) -> DeviceDetail:
        summary, character = self._summary(device), self._characters[device]
        birth = None if character.is_new else self._birth(character)
        return DeviceDetail(
            **dict(summary),
            birth=birth,
            generation_desired=0 if character.is_new else 4,
            generation_reported=0 if character.is_new else 3 if character.is_offline else 4,
            desired={} if character.is_new else {MODEL: ref(3)},
            newest_time=None if character.is_new else datetime(2026, 1, 2, 11, tzinfo=timezone.utc),
            refused={"rollback": 2} if character.is_offline else {},
            events=() if character.is_new else self._events(character),
        )

    def health(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[HealthPoint, ...]:
        character = self._known(device)
        newest = self._last_word(character)
        count = 0 if character.is_new or newest is None else min(limit, minutes * 60 // HEALTH_EVERY_S)
        stamps = [(newest or 0) - HEALTH_EVERY_S * back for back in reversed(range(count))]
        return tuple(self._health_point(character, at) for at in stamps)

    def inference(self, device: str, *, minutes: int = 60, limit: int = 1000) -> tuple[InferencePoint, ...]:
        character = self._known(device)
        provider, _ = _providers(character)
        return tuple(
            InferencePoint(
                at=point.at,
                model=MODEL,
                release=2,
                requests_per_s=self._rate(device, point.at.timestamp()),
                errors=0,
                p50_ms=6 + 2 * _wave(character, point.at.timestamp(), 90),
                p95_ms=11 + 5 * _wave(character, point.at.timestamp(), 70),
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
                added_at=self._moment(self._start - 86400 * (4 - release)),
                verdict=verdict,
                drops={target: 0.001 * release + 0.0004 * index for index, target in enumerate((*HARDWARE, "cpu"))},
                running_on=running.get(f"{MODEL} {release}", 0),
            )
            for release, verdict in verdicts.items()
        )

    def rollouts(self, *, limit: int = 50) -> tuple[RolloutView, ...]:
        return (self.rollout(2), self.rollout(1))[:limit] if self._ids else ()

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
        if rollout not in (1, 2) or not self._ids:
            raise UnknownRolloutError(rollout)
        return self._past_rollout() if rollout == 1 else self._current_rollout()

    def rollout_devices(self, rollout: int, phase: Phase | None, *, start: int, limit: int) -> tuple[RolloutDeviceView, ...]:
        members = [device for device in self.rollout(rollout).devices if phase in (None, device.phase)]
        rank = {phase: place for place, phases in enumerate(INTEREST) for phase in phases}
        return tuple(sorted(members, key=lambda device: rank[device.phase])[start : start + limit])

    def _current_rollout(self) -> RolloutView:
        devices = tuple(self._member(self._characters[id_]) for id_ in self._ids)
        is_over = all(device.phase in FINAL for device in devices)
        return RolloutView(
            id=2,
            release=ref(3),
            query="all",
            state="failed" if is_over else "running",
            state_reason="some devices rolled back" if is_over else "",
            started_at=self._moment(self._start),
            ended_at=None,
            counts=dict(Counter(device.phase for device in devices)),
            devices=devices,
        )

    def _past_rollout(self) -> RolloutView:
        members = [
            RolloutDeviceView(device=id_, phase=Phase.COMMITTED, progress=1.0, reason="") for id_ in self._ids[: len(self._ids) // 2]
        ]
        return RolloutView(
            id=1,
            release=ref(2),
            query="hw = rpi5 or hw = coral",
            state="succeeded",
            state_reason="",
            started_at=self._moment(self._start - 90000),
            ended_at=self._moment(self._start - 89000),
            counts={Phase.COMMITTED: len(members)},
            devices=tuple(members),
        )

    def _member(self, character: Character) -> RolloutDeviceView:
        phase, progress = self._phase(character)
        reason = {Phase.ROLLED_BACK: "golden set: largest difference 0.31, allowed 0.05", Phase.OFFERED: "waits for the device"}.get(
            phase, ""
        )
        return RolloutDeviceView(device=character.id, phase=phase, progress=progress, reason=reason)

    def _phase(self, character: Character) -> tuple[Phase, float]:
        """Devices take their turn one after another; some stay behind."""
        since = (self._now() - self._start) * self._speed - TURNS_S * character.number / max(1, len(self._ids))
        if since < 0 or character.is_new:
            return Phase.PLANNED, 0.0
        if character.is_offline:
            return Phase.OFFERED, 0.0
        phase = [found for begins, found in SCHEDULE if begins <= since][-1]
        if phase in (Phase.SWITCHING, Phase.PROBATION, Phase.COMMITTED) and character.rolls_back:
            phase = Phase.ROLLED_BACK
        return phase, min(1.0, max(0.0, (since - 2) / 12))

    def _known(self, device: str) -> Character:
        if device not in self._characters:
            raise UnknownDeviceError(device)
        return self._characters[device]

    def _summary(self, device: str) -> DeviceSummary:
        character = self._known(device)
        last_word = self._last_word(character)
        status, reason = self._status(character)
        return DeviceSummary(
            id=character.id,
            hardware=character.hardware,
            labels={"site": ("lyon", "oslo", "turin")[character.number % 3]},
            online=not (character.is_offline or character.is_new),
            last_seen=self._moment(last_word) if last_word else None,
            models={} if character.is_new else {MODEL: self._report(character)},
            health=self._health(character, last_word) if last_word else None,
            status=status,
            status_reason=reason,
        )

    def _status(self, character: Character) -> tuple[Literal["healthy", "updating", "degraded", "offline", "new"], str]:
        phase, _ = self._phase(character)
        if character.is_new:
            return "new", "not heard of yet"
        if character.is_offline:
            return "offline", "the broker lost its connection"
        if phase is Phase.ROLLED_BACK:
            return "degraded", f"{MODEL} 3 was rolled back: golden set: largest difference 0.31, allowed 0.05"
        if character.falls_back:
            return "degraded", f"{MODEL} falls back to CPU: expected {PREFERRED[character.hardware]}"
        if phase not in FINAL and phase is not Phase.PLANNED:
            return "updating", f"{MODEL} 3 is {phase.value}"
        return "healthy", ""

    def _report(self, character: Character) -> ModelReport:
        phase, progress = self._phase(character)
        is_done, has_candidate = phase is Phase.COMMITTED, phase not in FINAL and phase not in (Phase.PLANNED, Phase.OFFERED)
        ended = self._start + 60
        last = (
            Outcome(release=ref(3), result=phase, reason=self._member(character).reason, at=self._moment(ended)) if phase in FINAL else None
        )
        before = Outcome(release=ref(2), result=Phase.COMMITTED, reason="", at=self._moment(self._start - 90000))
        return ModelReport(
            phase=Phase.COMMITTED if phase is Phase.PLANNED else phase,
            progress=progress,
            attempt=1,
            current=ref(3 if is_done else 2),
            previous=ref(2 if is_done else 1),
            candidate=ref(3) if has_candidate else None,
            last=last or before,
            endpoint="http://127.0.0.1:8600",
        )

    def _last_word(self, character: Character) -> float | None:
        """Devices speak every ten seconds, each at its own moment."""
        if character.is_new:
            return None
        if character.is_offline:
            return self._start - 1500 - 700 * (character.number % 7)
        offset = character.number * 1.7 % HEALTH_EVERY_S
        return (self._now() - offset) // HEALTH_EVERY_S * HEALTH_EVERY_S + offset

    def _health(self, character: Character, at: float) -> Health:
        point = self._health_point(character, at)
        provider, preferred = _providers(character)
        worker = WorkerHealth(
            state="serving",
            restarts=character.number % 2,
            rss_bytes=92_000_000,
            runtime="onnxruntime 1.23",
            provider=provider,
            preferred_provider=preferred,
        )
        return Health(
            session="0123456789abcdef",
            sequence=7,
            sent_at=point.at,
            uptime_s=86400,
            cpu_percent=point.cpu_percent,
            memory_used_bytes=int(8 * GIB * point.memory_percent / 100),
            memory_total_bytes=8 * GIB,
            disk_free_bytes=int(32 * GIB * (1 - point.disk_percent / 100)),
            disk_total_bytes=32 * GIB,
            temperature_c=point.temperature_c,
            is_throttled=character.hardware.startswith("rpi") and (point.temperature_c or 0) > 70,
            workers={MODEL: worker},
        )

    def _health_point(self, character: Character, at: float) -> HealthPoint:
        cpu = 24 + 22 * _wave(character, at, 300) + 8 * _wave(character, at, 37)
        return HealthPoint(
            at=self._moment(at),
            cpu_percent=cpu,
            memory_percent=38 + 5 * _wave(character, at, 2400) + character.number % 13,
            disk_percent=41 + character.number % 29,
            temperature_c=None if character.number % 11 == 5 else 44 + cpu / 3,
        )

    def _rate(self, device: str, at: float) -> float:
        return 6 + self._known(device).number % 3 + 5 * math.sin(at / 40)

    def _birth(self, character: Character) -> Birth:
        machine = Machine(
            architecture="aarch64", system="Linux 6.12 (Debian 13)", python="3.11.2", cpu_count=4, memory_bytes=8 * GIB, disk_bytes=32 * GIB
        )
        return Birth(
            session="0123456789abcdef",
            sequence=0,
            sent_at=self._moment(self._start),
            online=not character.is_offline,
            agent_version="0.1.0",
            hardware=character.hardware,
            targets=(character.hardware, "cpu"),
            runtimes={"onnx": "1.23.2", "litert": "2.3.0"},
            machine=machine,
        )

    def _events(self, character: Character) -> tuple[EventView, ...]:
        happened = [
            EventView(
                at=self._moment(self._start - 4000), kind="started", severity="info", model=None, text="agent 0.1.0 started", facts={}
            )
        ]
        if self._phase(character)[0] is Phase.ROLLED_BACK:
            facts = {"golden_error": "0.31", "tolerance": "0.05"}
            text = "release 3 rolled back: its outputs differ from the golden set"
            happened.append(
                EventView(at=self._moment(self._start + 40), kind="phase", severity="error", model=MODEL, text=text, facts=facts)
            )
        if character.falls_back:
            text = f"{PREFERRED[character.hardware]} did not load; the model runs on CPU"
            happened.append(
                EventView(at=self._moment(self._start - 3990), kind="worker", severity="warning", model=MODEL, text=text, facts={})
            )
        return tuple(sorted(happened, key=lambda event: event.at, reverse=True))

    @staticmethod
    def _moment(epoch_s: float) -> datetime:
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=epoch_s)


def _character(number: int) -> Character:
    """Draw a device's peculiarities; the first nine are always these."""
    if number < 9:
        return Character(number, number == 3, number == 5, number == 1, number == 6)
    chance = random.Random(number)
    return Character(number, chance.random() < 0.05, chance.random() < 0.02, chance.random() < 0.03, chance.random() < 0.04)


def _providers(character: Character) -> tuple[str, str]:
    preferred = PREFERRED[character.hardware]
    return ("CPUExecutionProvider" if character.falls_back else preferred), preferred


def _wave(character: Character, at: float, period_s: float) -> float:
    return 1 + math.sin(at / period_s * math.tau + character.number)
