"""Plays devices: what each has to say by when, and how an update goes with it."""

from __future__ import annotations

import base64
import json
from random import Random

from pydantic import ValidationError

from contracts.configuration import Configuration
from contracts.downlinks import Desired
from contracts.lifecycle import FINAL, Phase
from contracts.messages import Birth, DeviceEvent, ModelReport, Outcome, ReleaseRef, Reported
from fleet.simulate.device import NEVER, Device, Pace, Say, SettingsUpdate, Update
from fleet.simulate.scenario import Behaviour, Scenario
from fleet.simulate.settings import BASE_REF, MACHINE, NAME, UNTOUCHED, Judge
from fleet.simulate.telemetry import Telemetry

SLOWNESS = 10.0
STAGING_S, TESTING_S, SWITCHING_S = 2.0, 1.0, 0.2
OFFLINE_S = (5.0, 60.0)
FLAKY_EVERY_S = 180.0
DAY_S = 86400.0
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
        self._judge = Judge(scenario)
        self._pace = Pace(scenario.health_interval_s, scenario.window_s)
        # Every device of a fleet runs one of few releases.
        self._releases: dict[str, ReleaseRef] = {}

    def boot(self, device: Device, now_s: float) -> None:
        """Begin a session."""
        random, pace = self._random, self._pace_of(device)
        device.session = f"{random.getrandbits(64):016x}"
        device.sequence = device.ordinal = 0
        device.boot_s = now_s
        device.health_s = now_s + random.random() * pace.health_interval_s
        device.window_s = now_s + random.random() * pace.window_s
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
        pace = self._pace_of(device)
        if device.health_s <= now_s:
            device.health_s = now_s + pace.health_interval_s
            said.append(self._telemetry.health(device, now_s))
        if device.window_s <= now_s:
            device.window_s = now_s + pace.window_s
            said.extend(self._telemetry.window(device, update, pace.window_s, now_s) for _, update in device.serving)
        for model, update in (device.updates or {}).items():
            while update.until_s <= now_s:
                said.extend(self._step(device, model, update, now_s))
        while device.settings is not None and device.settings.until_s <= now_s:
            said.extend(self._step(device, NAME, device.settings, now_s))
        return said

    def report(self, device: Device, now_s: float) -> Say:
        """Return what is installed."""
        models = {model: _report_of(update, now_s) for model, update in (device.updates or {}).items()}
        settings = UNTOUCHED if device.settings is None else _report_of(device.settings, now_s)
        fields = {"generation": device.generation, "models": models, "configuration": settings}
        return device.say("reported", Reported, now_s, fields, is_kept=True)

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
        if desired.configuration is not None:
            self._set(device, desired.configuration, now_s)
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
            update.end, update.result, update.reason = self._fate(device, release)

    def _set(self, device: Device, configuration: Configuration, now_s: float) -> None:
        """Take settings as a release is taken: only newer ones, to be proved by living with them."""
        judged = self._judge.judge(configuration)
        settings = device.settings or SettingsUpdate(BASE_REF, self._pace)
        newest = settings.candidate or settings.current
        is_tried = settings.last is not None and settings.last.release == judged.ref
        if is_tried or judged.ref == newest or (newest is not None and configuration.revision < newest.release):
            return
        device.settings = settings
        settings.candidate, settings.pace_on_trial, settings.phase = judged.ref, judged.pace, Phase.FETCHING
        settings.end, settings.result, settings.reason = judged.end, judged.result, judged.reason
        if device.group.behaviour is Behaviour.FAILING and not judged.reason:
            reason = "health: expected a health message to be sent, found none (simulated)"
            settings.end, settings.result, settings.reason = Phase.PROBATION, Phase.ROLLED_BACK, reason
        settings.until_s = now_s + self._duration_s(device, Phase.SWITCHING)

    def _pace_of(self, device: Device) -> Pace:
        return self._pace if device.settings is None else device.settings.pace_now

    def _fate(self, device: Device, release: ReleaseRef) -> tuple[Phase, Phase, str]:
        if self._random.random() < self._scenario.faults.disk_full:
            return Phase.FETCHING, Phase.FAILED, "disk: expected room for the release, found none (simulated)"
        if device.group.behaviour is Behaviour.FAILING:
            return Phase.TESTING, Phase.ROLLED_BACK, "golden set: expected the compiler's outputs, found others (simulated)"
        if self._random.random() < self._scenario.effect_of(release.model, release.release).rolled_back:
            return Phase.PROBATION, Phase.ROLLED_BACK, "3 crashes in probation (simulated)"
        return Phase.COMMITTED, Phase.COMMITTED, ""

    def _step(self, device: Device, model: str, update: Update, now_s: float) -> list[Say]:
        if update.phase is update.end:
            update.phase = update.result
        else:
            is_in_shadow = update.phase is Phase.TESTING and update.is_shadow
            update.phase = Phase.SHADOW if is_in_shadow else _ORDER[_ORDER.index(update.phase) + 1]
        if update.phase not in FINAL:
            is_quick = isinstance(update, SettingsUpdate) and update.phase is not Phase.PROBATION
            update.until_s = now_s + self._duration_s(device, Phase.SWITCHING if is_quick else update.phase)
            if isinstance(update, SettingsUpdate):
                self._keep_pace(device, now_s)
            return [self.report(device, now_s)]
        release = update.candidate
        assert release is not None  # only an update under way has a next step
        reason = "" if update.phase is Phase.COMMITTED else update.reason
        update.last = Outcome(release=release, result=update.phase, reason=reason, at=device.clock(now_s))
        update.candidate, update.until_s, update.reason = None, NEVER, reason
        if update.phase is Phase.COMMITTED:
            update.previous, update.current = update.current, release
        noun = "release"
        if isinstance(update, SettingsUpdate):
            noun = "revision"
            update.pace = update.pace_on_trial if update.phase is Phase.COMMITTED else update.pace
            self._keep_pace(device, now_s)
        text = f"{noun} {release.release} {update.phase.value}" + (f": {reason}" if reason else "")
        severity = "warning" if reason else "info"
        fields = {"kind": "phase", "severity": severity, "model": model, "text": text}
        return [self.report(device, now_s), device.say("event", DeviceEvent, now_s, fields)]

    def _keep_pace(self, device: Device, now_s: float) -> None:
        """Speak no later than the settings in force ask for."""
        pace = self._pace_of(device)
        device.health_s = min(device.health_s, now_s + pace.health_interval_s)
        device.window_s = min(device.window_s, now_s + pace.window_s)

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
