"""A made-up fleet whose every metric is watched at once: a thousand rollouts side by side, as arrays of shape [rollouts, devices]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fleet.core.gates.drift import stability_index
from fleet.core.gates.evidence import Metric
from fleet.core.gates.gate import answers_of, evidence_needed
from fleet.core.gates.rates import Rates, Values
from fleet.core.gates.verdict import KINDS, GatePolicy

Flags = npt.NDArray[np.bool_]
DEVICES = 300
WAVES = (0.01, 0.05, 0.1, 0.5)
# The gate looks after every window, eight times an hour.
WINDOWS_PER_WAVE = 8
WINDOW_H = 1 / 8
REQUESTS = 60.0
LIMITS = {Metric.ERRORS: 0.01, Metric.LATENCY: 0.05, Metric.RESTARTS: 0.2, Metric.TEMPERATURE: 2.0, Metric.DRIFT: 0.1}
POLICY = GatePolicy(LIMITS)
# A request is slow beyond 1.2 times the usual 95th percentile; times vary with the logarithm's deviation.
SLOW_RATIO, SPREAD_OF_TIMES = 1.2, 0.3
CLASSES = 6
PAST_ANSWERS = 5000.0


@dataclass(frozen=True)
class Effect:
    """What the release does to the devices that have it."""

    errors: float = 0.0
    latency_factor: float = 1.0
    restarts_per_h: float = 0.1
    degrees: float = 0.0
    # Population stability index of the classes.
    drift: float = 0.0


@dataclass
class Fleet:
    """Devices that differ, in as many rollouts as there are rows; sums since each device's switch, or since the rollout began."""

    random: np.random.Generator
    rollouts: int
    effect: Effect

    def __post_init__(self) -> None:
        """Draw what each device is like."""
        shape, random = (self.rollouts, DEVICES), self.random
        self.own_errors = random.beta(2.0, 98.0, shape)
        self.load = REQUESTS * random.lognormal(-0.045, 0.3, shape)
        self.own_pace = random.normal(0, 0.03, shape)
        self.own_restarts = random.gamma(4.0, 0.25, shape)
        self.own_heat = random.normal(55, 6, shape)
        mix = random.dirichlet(np.full(CLASSES, 5.0), shape)
        self.mix = (mix + 0.05) / (1 + 0.05 * CLASSES)
        self.mix_after = _shifted(self.mix, self.effect.drift) if self.effect.drift else self.mix
        self.past_mix = random.poisson(self.mix * PAST_ANSWERS).astype(np.float64)
        self.past_errors = random.binomial(5000, self.own_errors) / 5000
        self.past_heat = self.own_heat + random.normal(0, 0.3, shape)
        self.sums = {name: np.zeros(shape) for name in ("windows", "requests", "errors", "slow", "restarts", "heat")}
        self.classes = np.zeros((*shape, CLASSES))

    def switch(self, first: int, last: int) -> None:
        """Begin anew for devices that get the release."""
        for total in (*self.sums.values(), self.classes):
            total[:, first:last] = 0.0

    def live(self, updated: int) -> None:
        """Let a window pass."""
        random, effect, has_it = self.random, self.effect, np.arange(DEVICES) < updated
        requests = random.poisson(self.load) + 20
        slower = (np.log(SLOW_RATIO) - np.where(has_it, np.log(effect.latency_factor), 0.0) + self.own_pace) / SPREAD_OF_TIMES
        hourly = np.where(has_it, effect.restarts_per_h, 0.1) * self.own_restarts
        degrees = np.where(has_it, effect.degrees, 0.0)
        self.sums["windows"] += 1
        self.sums["requests"] += requests
        self.sums["errors"] += random.binomial(requests, self.own_errors + np.where(has_it, effect.errors, 0.0))
        self.sums["slow"] += random.binomial(requests, ndtr(-1.645 - slower))
        self.sums["restarts"] += random.poisson(hourly * WINDOW_H)
        self.sums["heat"] += self.own_heat + degrees + random.normal(0, 1.5, degrees.shape)
        self.classes += random.poisson(np.where(has_it[:, None], self.mix_after, self.mix) * requests[..., None])

    def rates(self, metric: Metric) -> Rates:
        """Return what every device tells of a metric."""
        sums, unknown = self.sums, np.full((self.rollouts, DEVICES), np.nan)
        if metric is Metric.ERRORS:
            return Rates(sums["errors"] / sums["requests"], sums["requests"], self.past_errors)
        if metric is Metric.LATENCY:
            return Rates(sums["slow"] / sums["requests"], sums["requests"], unknown)
        if metric is Metric.RESTARTS:
            hours = sums["windows"] * WINDOW_H
            return Rates(sums["restarts"] / hours, hours, unknown)
        if metric is Metric.TEMPERATURE:
            return Rates(sums["heat"] / sums["windows"], sums["windows"], self.past_heat)
        return Rates(stability_index(self.classes, self.past_mix), self.classes.sum(axis=-1), unknown)


def stopped_at(effect: Effect, rollouts: int, seed: int = 7, waves: tuple[float, ...] = WAVES) -> Values:
    """Return the share of the fleet that had the release when the gate stopped it, shape [rollouts]; 1 where it never did.

    The gate looks after every window, and no wave ends early because it passed: as many looks as there can be.
    """
    fleet = Fleet(np.random.default_rng(seed), rollouts, effect)
    exposed, updated = np.ones(rollouts), 0
    for share in waves:
        reached = max(1, round(share * DEVICES))
        fleet.switch(updated, reached)
        updated = reached
        for _ in range(WINDOWS_PER_WAVE):
            fleet.live(updated)
            exposed = np.where((exposed == 1) & _is_stopped(fleet, updated), updated / DEVICES, exposed)
        if np.all(exposed < 1):
            break
    return exposed


def ever_missed(metric: Metric, rollouts: int, seed: int = 8) -> Values:
    """Say of each rollout whether the interval of a difference that is nothing ever left it out, at any look; shape [rollouts]."""
    fleet, kind = Fleet(np.random.default_rng(seed), rollouts, Effect()), KINDS[metric]
    missed, updated = np.zeros(rollouts), round(0.1 * DEVICES)
    for _ in range(3 * WINDOWS_PER_WAVE):
        fleet.live(updated)
        rates = fleet.rates(metric)
        if rates.weight.min() >= kind.min_weight:
            answer = answers_of(kind, 0.0, _part(rates, slice(updated)), _part(rates, slice(updated, None)))
            assert answer is not None
            missed = np.maximum(missed, (answer.low > 0) | (answer.high < 0))
    return np.asarray(missed)


def _is_stopped(fleet: Fleet, updated: int) -> Flags:
    """Ask of each rollout whether any metric exceeds its limit."""
    needed, _ = evidence_needed(POLICY)
    return np.asarray(np.any([_worse(fleet, updated, metric) >= needed for metric in LIMITS], axis=0))


def _worse(fleet: Fleet, updated: int, metric: Metric) -> Values:
    """Return the logarithms of a metric's e-values."""
    kind, rates = KINDS[metric], fleet.rates(metric)
    canary, control = _part(rates, slice(updated)), _part(rates, slice(updated, None))
    # So soon nothing can be said.
    is_early = canary.weight.min() < kind.min_weight
    answer = None if is_early else answers_of(kind, LIMITS[metric], canary, control if kind.has_control else None)
    return np.zeros(fleet.rollouts) if answer is None else answer.log_e_worse


def _part(rates: Rates, devices: slice) -> Rates:
    return Rates(*(values[:, devices] for values in (rates.now, rates.weight, rates.before)))


def _shifted(mix: Values, index: float) -> Values:
    """Move shares from the most frequent class to the rarest, until the population stability index is as asked; by bisection."""
    low, high = np.zeros(mix.shape[:-1]), mix.max(axis=-1) * 0.999
    first, last = np.eye(mix.shape[-1])[mix.argmax(axis=-1)], np.eye(mix.shape[-1])[mix.argmin(axis=-1)]
    for _ in range(25):
        moved = (low + high) / 2
        other = mix + moved[..., None] * (last - first)
        is_short = ((other - mix) * np.log(other / mix)).sum(axis=-1) < index
        low, high = np.where(is_short, moved, low), np.where(is_short, high, moved)
    return np.asarray(mix + low[..., None] * (last - first))


EFFECTS: Mapping[str, Effect] = {
    "5 points more errors": Effect(errors=0.05),
    "a 95th percentile 30 % higher": Effect(latency_factor=1.3),
    "1 restart an hour instead of 0.1": Effect(restarts_per_h=1.0),
    "5 C more": Effect(degrees=5.0),
    "classes that moved by a stability index of 0.25": Effect(drift=0.25),
}
