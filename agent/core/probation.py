"""Decides whether a release on probation has shown itself fit, by what it does and by what the release before it did here."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from agent.core.growth import MIB, Sample, steady_growth_bytes_per_s

# Fewer requests than this say nothing about a share of errors, or about a percentile.
MIN_REQUESTS, MIN_TIMED_REQUESTS = 20, 100
# Allocators and caches fill up at first; less growth than this is no leak.
MIN_GROWTH_BYTES = 32 * MIB
# What a scheduler adds to a fast model's tail is no fault of the model.
LATENCY_GRAIN_MS = 5.0
# Cooler than this no device is hot, however fast it warmed up.
HOT_C = 60.0
MIN_HEATS = 3
# The 99.5 % quantile of the normal distribution: one sound release in two hundred may look unfit by chance.
Z = 2.576

Name = Literal["errors", "latency", "memory", "temperature", "throttled", "golden"]


@dataclass(frozen=True)
class Limits:
    """How much worse than the release before it a release may be."""

    # Share of requests that fail, where no release before it says what share is usual here.
    max_error_share: float = 0.5
    # And where one does: by how much the share may rise.
    max_error_rise: float = 0.05
    max_latency_ratio: float = 2.0
    max_growth_mib_per_h: float = 256.0
    max_temperature_rise_c: float = 20.0


@dataclass(frozen=True)
class Work:
    """What a release answered: counts, and each window's 95th percentile with its requests."""

    requests: int = 0
    errors: int = 0
    p95s_ms: tuple[tuple[float, int], ...] = ()

    @property
    def p95_ms(self) -> float | None:
        """Return the middle window's percentile, each window counting as often as it has requests; None for too few of them."""
        timed = sum(requests for _, requests in self.p95s_ms)
        if timed < MIN_TIMED_REQUESTS:
            return None
        passed = 0
        for p95_ms, requests in sorted(self.p95s_ms):
            passed += requests
            if 2 * passed >= timed:
                return p95_ms
        return None


@dataclass(frozen=True)
class Heat:
    """How warm the device is; None where it has no such sensor."""

    temperature_c: float | None
    is_throttled: bool | None


@dataclass(frozen=True)
class Watch:
    """What was seen of the release since it took over."""

    # Since it took over or was last restarted: whoever crashed starts its probation over.
    calm_s: float
    is_alive: bool
    work: Work
    # What the release before it did last on this device.
    before: Work
    memory: Sequence[Sample] = ()
    # The first was taken as the probation began.
    heats: Sequence[Heat] = ()


@dataclass(frozen=True)
class Unfit:
    """Which limit a release is past, and by how much."""

    name: Name
    text: str


Verdict = Literal["fit", "wait", "unproven"] | Unfit


def verdict(watch: Watch, limits: Limits, probation_s: float) -> Verdict:
    """Judge at any time; crashes are counted elsewhere.

    `fit` is only who is alive and was asked enough by the end; who was not is `unproven`, and shows by its golden set that it still works.
    """
    checks = (_errors(watch, limits), _latency(watch, limits), _memory(watch, limits), _heat(watch, limits))
    for unfit in checks:
        if unfit is not None:
            return unfit
    if not watch.is_alive or watch.calm_s < probation_s:
        return "wait"
    return "fit" if watch.work.requests >= MIN_REQUESTS else "unproven"


def _errors(watch: Watch, limits: Limits) -> Unfit | None:
    now, before = watch.work, watch.before
    if now.requests < MIN_REQUESTS:
        return None
    found = f"found {now.errors} errors in {now.requests} requests"
    if before.requests < MIN_REQUESTS:
        is_worse = now.errors > now.requests * limits.max_error_share
        return Unfit("errors", f"expected at most {limits.max_error_share:.0%} errors, {found}") if is_worse else None
    if least_rise(now, before) <= limits.max_error_rise:
        return None
    return Unfit("errors", f"expected at most {limits.max_error_rise:.0%} more errors than {before.errors} in {before.requests}, {found}")


def least_rise(now: Work, before: Work, z: float = Z) -> float:
    """Return by how much the share of errors rose at least: the lower end of an interval for the difference of two proportions.

    Method 10 of Newcombe, Statistics in Medicine 17, 1998, 873-890.
    """
    share, usual = now.errors / now.requests, before.errors / before.requests
    low, high = _wilson(now, z)[0], _wilson(before, z)[1]
    return share - usual - sqrt((share - low) ** 2 + (high - usual) ** 2)


def _wilson(work: Work, z: float) -> tuple[float, float]:
    share, count, square = work.errors / work.requests, work.requests, z * z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = z * sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return middle - half, middle + half


def _latency(watch: Watch, limits: Limits) -> Unfit | None:
    now, before = watch.work.p95_ms, watch.before.p95_ms
    if now is None or before is None:
        return None
    allowed = max(before * limits.max_latency_ratio, before + LATENCY_GRAIN_MS)
    return Unfit("latency", f"expected a p95 of at most {allowed:.1f} ms, found {now:.1f} ms") if now > allowed else None


def _memory(watch: Watch, limits: Limits) -> Unfit | None:
    growth = steady_growth_bytes_per_s(watch.memory)
    rate = growth * 3600 / MIB
    if rate <= limits.max_growth_mib_per_h or growth * (watch.memory[-1].at_s - watch.memory[0].at_s) < MIN_GROWTH_BYTES:
        return None
    return Unfit("memory", f"expected growth of at most {limits.max_growth_mib_per_h:.0f} MiB an hour, found {rate:.0f} MiB")


def _heat(watch: Watch, limits: Limits) -> Unfit | None:
    if len(watch.heats) <= MIN_HEATS:
        return None
    first, latest = watch.heats[0], watch.heats[-MIN_HEATS:]
    if first.is_throttled is False and all(heat.is_throttled for heat in latest):
        return Unfit("throttled", "expected a device that is not throttled, as it was before, found one that is")
    found = [heat.temperature_c for heat in latest if heat.temperature_c is not None]
    if first.temperature_c is None or len(found) < MIN_HEATS:
        return None
    warmest, allowed = statistics.median(found), first.temperature_c + limits.max_temperature_rise_c
    if warmest < HOT_C or warmest <= allowed:
        return None
    return Unfit(
        "temperature", f"expected at most {allowed:.0f} C, {limits.max_temperature_rise_c:.0f} more than before, found {warmest:.0f}"
    )
