"""Plays devices: what each has to say by when, and how an update goes with it."""

from __future__ import annotations

import base64
import json
from random import Random

from pydantic import ValidationError

from contracts.downlinks import Desired
from contracts.lifecycle import FINAL, Phase
from contracts.messages import Birth, DeviceEvent, Machine, ModelReport, Outcome, ReleaseRef, Reported
from fleet.simulate.device import NEVER, Device, Say, Update
from fleet.simulate.scenario import Behaviour, Scenario
from fleet.simulate.telemetry import Telemetry

SLOWNESS = 10.0
STAGING_S, TESTING_S, SWITCHING_S = 2.0, 1.0, 0.2
OFFLINE_S = (5.0, 60.0)
FLAKY_EVERY_S = 180.0
DAY_S = 86400.0
MACHINE = Machine(architecture="aarch64", system="simulated", python="-", cpu_count=4, memory_bytes=4 << 30, disk_bytes=32 << 30)
# Only where the wish asks for it, a shadow comes after the test; it has no end of its own.
_ORDER = (Phase.FETCHING, Phase.STAGING, Phase.TESTING, Phase.SWITCHING, Phase.PROBATION, Phase.COMMITTED)


class Play:
    """Plays every device by one scenario; `random` makes what happens the same for the same seed."""

    def __init__(self, scenario: Scenario, random: Random, agent_version: str) -> None:
        """Nothing happens before `boot`."""
        self._scenario = scenario
        self._random = random
        self._version = agent_version
        self._telemetry = Telemetry(scenario, random)
        # Every device of a fleet runs one of few releases.
        self._releases: dict[str, ReleaseRef] = {}

    def boot(self, device: Device, now_s: float) -> None:
        """Begin a session."""
        scenario, random = self._scenario, self._random
        device.session = f"{random.getrandbits(64):016x}"
        device.sequence = device.ordinal = 0
        device.boot_s = now_s
        device.health_s = now_s + random.random() * scenario.health_interval_s
        device.window_s = now_s + random.random() * scenario.window_s
        device.leave_s = now_s + self._until_leaving(device)

    def leave(self, device: Device, now_s: float) -> float:
        """Lose the link or the power; return when the device is back."""
        device.health_s = device.window_s = device.leave_s = NEVER
        return now_s + self._random.uniform(*OFFLINE_S)

    def birth(self, device: Device, now_s: float, *, is_online: bool) -> Say:
        """Return the birth, or the will."""
        fields = {
            "online": is_online,
            "agent_version": self._version,
            "hardware": device.hardware,
            "targets": (device.hardware,) if device.hardware == "cpu" else (device.hardware, "cpu"),
            "runtimes": {"onnx": "-"},
            "machine": MACHINE,
            "labels": device.group.labels,
        }
        if not is_online:
            device.sequence -= 1  # a will repeats a number, because nobody hears it while all is well
        return device.say("birth", Birth, now_s, fields, is_kept=True)

    def due(self, device: Device, now_s: float) -> list[Say]:
        """Return all that is to be said by now."""
        said: list[Say] = []
        if device.health_s <= now_s:
            device.health_s = now_s + self._scenario.health_interval_s
            said.append(self._telemetry.health(device, now_s))
        if device.window_s <= now_s:
            device.window_s = now_s + self._scenario.window_s
            said.extend(self._telemetry.window(device, update, now_s) for _, update in device.serving)
        for model, update in (device.updates or {}).items():
            while update.until_s <= now_s:
                said.extend(self._step(device, model, update, now_s))
        return said

    def report(self, device: Device, now_s: float) -> Say:
        """Return what is installed."""
        models = {model: _report_of(update, now_s) for model, update in (device.updates or {}).items()}
        return device.say("reported", Reported, now_s, {"generation": device.generation, "models": models}, is_kept=True)

    def hear(self, device: Device, envelope: bytes, now_s: float) -> list[Say]:
        """Follow a wish; signatures are for devices that have something to lose."""
        try:
            desired = Desired.model_validate_json(base64.b64decode(json.loads(envelope)["payload"]))
        except (ValueError, KeyError, TypeError, ValidationError):
            return []
        if desired.device != device.name or desired.generation <= device.generation:
            return []
        device.generation = desired.generation
        shadows = {model: shadow.release for model, shadow in (desired.shadow or {}).items()}
        for model, release in {**desired.models, **shadows}.items():
            known = self._releases.setdefault(release.manifest_sha256, release)
            self._wish(device, model, known, now_s, is_shadow=model in shadows)
        return [self.report(device, now_s)]

    def _wish(self, device: Device, model: str, release: ReleaseRef, now_s: float, *, is_shadow: bool) -> None:
        device.updates = device.updates if device.updates is not None else {}
        update = device.updates.setdefault(model, Update())
        is_promoted, update.is_shadow = update.phase is Phase.SHADOW and not is_shadow, is_shadow
        if update.current == release:
            update.phase, update.candidate, update.until_s, update.reason = Phase.COMMITTED, None, NEVER, ""
        elif update.candidate == release and is_promoted:
            update.phase, update.until_s = Phase.SWITCHING, now_s + self._duration_s(device, Phase.SWITCHING)
        elif update.candidate != release:
            update.phase, update.candidate, update.reason = Phase.FETCHING, release, ""
            update.until_s = now_s + self._duration_s(device, Phase.FETCHING)
            update.end, update.reason = self._fate(device, release)

    def _fate(self, device: Device, release: ReleaseRef) -> tuple[Phase, str]:
        if self._random.random() < self._scenario.faults.disk_full:
            return Phase.FETCHING, "disk: expected room for the release, found none (simulated)"
        if device.group.behaviour is Behaviour.FAILING:
            return Phase.TESTING, "golden set: expected the compiler's outputs, found others (simulated)"
        if self._random.random() < self._scenario.effect_of(release.model, release.release).rolled_back:
            return Phase.PROBATION, "3 crashes in probation (simulated)"
        return Phase.COMMITTED, ""

    def _step(self, device: Device, model: str, update: Update, now_s: float) -> list[Say]:
        if update.phase is update.end:
            update.phase = Phase.FAILED if update.end in (Phase.FETCHING, Phase.STAGING) else Phase.ROLLED_BACK
        else:
            is_in_shadow = update.phase is Phase.TESTING and update.is_shadow
            update.phase = Phase.SHADOW if is_in_shadow else _ORDER[_ORDER.index(update.phase) + 1]
        if update.phase not in FINAL:
            update.until_s = now_s + self._duration_s(device, update.phase)
            return [self.report(device, now_s)]
        release = update.candidate
        assert release is not None  # only an update under way has a next step
        reason = "" if update.phase is Phase.COMMITTED else update.reason
        update.last = Outcome(release=release, result=update.phase, reason=reason, at=device.clock(now_s))
        update.candidate, update.until_s, update.reason = None, NEVER, reason
        if update.phase is Phase.COMMITTED:
            update.previous, update.current = update.current, release
        text = f"release {release.release} {update.phase.value}" + (f": {reason}" if reason else "")
        severity = "warning" if reason else "info"
        fields = {"kind": "phase", "severity": severity, "model": model, "text": text}
        return [self.report(device, now_s), device.say("event", DeviceEvent, now_s, fields)]

    def _duration_s(self, device: Device, phase: Phase) -> float:
        if phase is Phase.SHADOW:
            return NEVER
        mean_s = {
            Phase.FETCHING: self._scenario.download_s,
            Phase.STAGING: STAGING_S,
            Phase.TESTING: TESTING_S,
            Phase.SWITCHING: SWITCHING_S,
            Phase.PROBATION: self._scenario.probation_s,
        }[phase]
        slowness = SLOWNESS if device.group.behaviour is Behaviour.SLOW else 1.0
        return mean_s * slowness * self._random.uniform(0.5, 1.5)

    def _until_leaving(self, device: Device) -> float:
        reboots = self._scenario.faults.reboots_per_day
        rate = reboots / DAY_S + (1 / FLAKY_EVERY_S if device.group.behaviour is Behaviour.FLAKY else 0.0)
        return self._random.expovariate(rate) if rate else NEVER


def _report_of(update: Update, now_s: float) -> ModelReport:
    is_fetching = update.phase is Phase.FETCHING
    progress = 0.5 if is_fetching and update.until_s > now_s else 0.0
    return ModelReport(
        phase=update.phase,
        reason=update.reason if update.phase in FINAL else "",
        progress=progress,
        current=update.current,
        previous=update.previous,
        candidate=update.candidate,
        last=update.last,
        target="cpu" if update.current else "",
    )
