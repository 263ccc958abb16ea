"""The devices of the fleet that moves: what they say follows from the time, and from how the rollout goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

from contracts.lifecycle import FINAL, Phase
from contracts.messages import Birth, Health, Machine, ModelReport, Outcome, WorkerHealth
from fleet.errors.devices import UnknownDeviceError
from fleet.views.charts import HealthPoint
from fleet.views.device_details import EventView
from fleet.views.devices import DeviceSummary
from tests.sim.moving_cast import (
    GIB,
    HEALTH_EVERY_S,
    MODEL,
    PREFERRED,
    Character,
    moment,
    providers_of,
    ref,
    wave,
)
from tests.sim.moving_rollouts import MovingRollouts


class MovingDevices:
    """What each device last said, and how it is."""

    def __init__(self, characters: Mapping[str, Character], rollouts: MovingRollouts, now: Callable[[], float]) -> None:
        """Follow a rollout."""
        self._characters = characters
        self._rollouts = rollouts
        self._now = now
        self._start = rollouts.start

    def known(self, device: str) -> Character:
        """Return who a device is; raise UnknownDeviceError."""
        if device not in self._characters:
            raise UnknownDeviceError(device)
        return self._characters[device]

    def summary(self, device: str) -> DeviceSummary:
        """Return a device in a list."""
        character = self.known(device)
        last_word = self.last_word(character)
        status, reason = self._status(character)
        return DeviceSummary(
            id=character.id,
            hardware=character.hardware,
            labels={"site": ("lyon", "oslo", "turin")[character.number % 3]},
            online=not (character.is_offline or character.is_new),
            last_seen=moment(last_word) if last_word else None,
            models={} if character.is_new else {MODEL: self._report(character)},
            health=self._health(character, last_word) if last_word else None,
            status=status,
            status_reason=reason,
        )

    def _status(self, character: Character) -> tuple[Literal["healthy", "updating", "degraded", "offline", "new"], str]:
        phase, _ = self._rollouts.phase(character)
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
        phase, progress = self._rollouts.phase(character)
        is_done, has_candidate = phase is Phase.COMMITTED, phase not in FINAL and phase not in (Phase.PLANNED, Phase.OFFERED)
        reason = self._rollouts.member(character).reason
        last = Outcome(release=ref(3), result=phase, reason=reason, at=moment(self._start + 60)) if phase in FINAL else None
        before = Outcome(release=ref(2), result=Phase.COMMITTED, reason="", at=moment(self._start - 90000))
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

    def last_word(self, character: Character) -> float | None:
        """Devices speak every ten seconds, each at its own moment."""
        if character.is_new:
            return None
        if character.is_offline:
            return self._start - 1500 - 700 * (character.number % 7)
        offset = character.number * 1.7 % HEALTH_EVERY_S
        return (self._now() - offset) // HEALTH_EVERY_S * HEALTH_EVERY_S + offset

    def _health(self, character: Character, at: float) -> Health:
        point = self.health_point(character, at)
        provider, preferred = providers_of(character)
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

    def health_point(self, character: Character, at: float) -> HealthPoint:
        """Return one point of its curves."""
        cpu = 24 + 22 * wave(character, at, 300) + 8 * wave(character, at, 37)
        return HealthPoint(
            at=moment(at),
            cpu_percent=cpu,
            memory_percent=38 + 5 * wave(character, at, 2400) + character.number % 13,
            disk_percent=41 + character.number % 29,
            temperature_c=None if character.number % 11 == 5 else 44 + cpu / 3,
        )

    def rate(self, device: str, at: float) -> float:
        """Return requests a second."""
        return 6 + self.known(device).number % 3 + 5 * math.sin(at / 40)

    def birth(self, character: Character) -> Birth:
        """Return what it said first."""
        machine = Machine(
            architecture="aarch64", system="Linux 6.12 (Debian 13)", python="3.11.2", cpu_count=4, memory_bytes=8 * GIB, disk_bytes=32 * GIB
        )
        return Birth(
            session="0123456789abcdef",
            sequence=0,
            sent_at=moment(self._start),
            online=not character.is_offline,
            agent_version="0.1.0",
            hardware=character.hardware,
            targets=(character.hardware, "cpu"),
            runtimes={"onnx": "1.23.2", "litert": "2.3.0"},
            machine=machine,
        )

    def events(self, character: Character) -> tuple[EventView, ...]:
        """Return what happened to it, newest first."""
        happened = [
            EventView(at=moment(self._start - 4000), kind="started", severity="info", model=None, text="agent 0.1.0 started", facts={})
        ]
        if self._rollouts.phase(character)[0] is Phase.ROLLED_BACK:
            facts = {"golden_error": "0.31", "tolerance": "0.05"}
            text = "release 3 rolled back: its outputs differ from the golden set"
            happened.append(EventView(at=moment(self._start + 40), kind="phase", severity="error", model=MODEL, text=text, facts=facts))
        if character.falls_back:
            text = f"{PREFERRED[character.hardware]} did not load; the model runs on CPU"
            happened.append(EventView(at=moment(self._start - 3990), kind="worker", severity="warning", model=MODEL, text=text, facts={}))
        return tuple(sorted(happened, key=lambda event: event.at, reverse=True))
