"""What a played device tells of its health and its work."""

from __future__ import annotations

from random import Random

from contracts.lifecycle import Phase
from contracts.messages import Health, InferenceWindow, ReleaseRef, WorkerHealth, latency_of
from contracts.shadow import ShadowPart
from contracts.sketches import Sketch, bin_of
from fleet.simulate.device import Device, Say, Update
from fleet.simulate.scenario import Behaviour, Scenario

# A drifting device has seen nothing but one class after so long.
DRIFT_S = 3600.0
CLASSES = 10
# Of a window's requests, so many are drawn one by one; more tell nobody more.
MAX_DRAWN = 50
LATENCY_SPREAD = 0.3
# No request takes longer than so many times the mean.
LONGEST = 10.0
WORKER = WorkerHealth(
    state="serving", restarts=0, rss_bytes=80 << 20, runtime="onnx -", provider="simulated", preferred_provider="simulated"
)


class Telemetry:
    """Measures what a scenario says."""

    def __init__(self, scenario: Scenario, random: Random) -> None:
        """Draw from `random`."""
        self._scenario = scenario
        self._random = random

    def health(self, device: Device, now_s: float) -> Say:
        """Return one health message."""
        busy = self._random.random()
        fields = {
            "uptime_s": now_s - device.boot_s,
            "cpu_percent": round(10 + 30 * busy, 1),
            "memory_used_bytes": 1 << 30,
            "memory_total_bytes": 4 << 30,
            "disk_free_bytes": 20 << 30,
            "disk_total_bytes": 32 << 30,
            "temperature_c": round(45 + 15 * busy, 1),
            "workers": {model: WORKER for model, _ in device.serving},
        }
        return device.say("health", Health, now_s, fields)

    def window(self, device: Device, update: Update, window_s: float, now_s: float) -> Say:
        """Return one window of a model that is served."""
        scenario, release = self._scenario, _served(update)
        effect = scenario.effect_of(release.model, release.release)
        requests = max(1, round(scenario.requests_per_s * window_s * self._random.uniform(0.8, 1.2)))
        mean_ms = scenario.latency_ms * effect.latency_factor
        drawn = min(requests, MAX_DRAWN)
        failing = min(1.0, scenario.error_rate + effect.errors)
        latencies = self._latencies(mean_ms, drawn)
        device.ordinal += 1
        fields = {
            "release": release,
            "started_at": device.clock(now_s - window_s),
            "window_s": window_s,
            "requests": requests,
            "errors": sum(self._random.random() < failing for _ in range(drawn)) * requests // drawn,
            "latency_ms": latency_of(latencies, mean_ms, LONGEST * mean_ms),
            "latencies": latencies,
            "classes": self._classes(device, requests, now_s),
            "provider": "simulated",
            "ordinal": device.ordinal,
            "shadow": self._shadow(update, requests),
        }
        return device.say("inference", InferenceWindow, now_s, fields)

    def _shadow(self, update: Update, requests: int) -> ShadowPart | None:
        if update.phase is not Phase.SHADOW or update.candidate is None:
            return None
        scenario, effect = self._scenario, self._scenario.effect_of(update.candidate.model, update.candidate.release)
        drawn = min(requests, MAX_DRAWN)
        differ = sum(self._random.random() < effect.disagreement for _ in range(drawn)) * requests // drawn
        return ShadowPart(
            manifest_sha256=update.candidate.manifest_sha256,
            compared=requests,
            agreed=requests - differ,
            errors=0,
            latencies=self._latencies(scenario.latency_ms * effect.latency_factor, drawn),
            live_latencies=self._latencies(scenario.latency_ms, drawn),
        )

    def _latencies(self, mean_ms: float, drawn: int) -> Sketch:
        bins: dict[int, int] = {}
        for _ in range(drawn):
            index = bin_of(mean_ms * min(LONGEST, self._random.lognormvariate(0, LATENCY_SPREAD)))
            bins[index] = bins.get(index, 0) + 1
        return Sketch.of(bins)

    def _classes(self, device: Device, requests: int, now_s: float) -> dict[str, int]:
        drift = min(1.0, (now_s - device.boot_s) / DRIFT_S) if device.group.behaviour is Behaviour.DRIFTING else 0.0
        one = round(requests * drift)
        rest, left = divmod(requests - one, CLASSES)
        return {"0": one + rest + left} | {str(number): rest for number in range(1, CLASSES) if rest}


def _served(update: Update) -> ReleaseRef:
    # What a probation shows is the candidate's doing.
    release = update.candidate if update.phase is Phase.PROBATION and update.candidate is not None else update.current
    assert release is not None  # it serves
    return release
