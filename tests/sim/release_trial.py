"""A made-up fleet that follows a release through its waves, many times over: how often the gate stops it, and how early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fleet.core.gates.evidence import Evidence, Metric
from fleet.core.gates.gate import assess
from fleet.core.gates.verdict import Decision, GatePolicy

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fleet:
    """Devices differ: each has an error rate and a load of its own."""

    devices: int = 1000
    error_rate: float = 0.02
    # Standard deviation of the devices' own rates, relative to the mean.
    spread: float = 0.7
    requests_per_window: float = 60.0
    # How much the whole fleet's error rate swings over the day, relative to the mean.
    swing: float = 0.0
    # Devices that answer nothing but errors, whatever they run.
    lemons: int = 0


@dataclass(frozen=True)
class Trial:
    """One rollout: shares of the fleet that each wave reaches, and how often the gate looks in each."""

    added_errors: float = 0.0
    waves: tuple[float, ...] = (0.01, 0.05, 0.1, 0.5, 1.0)
    windows_per_wave: int = 12
    windows_before: int = 20
    policy: GatePolicy = field(default_factory=lambda: GatePolicy({Metric.ERRORS: 0.01}))


@dataclass(frozen=True)
class Outcome:
    """How one rollout went."""

    decision: Decision
    # Share of the fleet that had the release by then.
    exposed: float


def run(fleet: Fleet, trial: Trial, random: np.random.Generator) -> Outcome:
    """Follow one release; a wave that is not decided at its end goes on to the next, which is the worst that an operator can do."""
    own = _own_rates(fleet, random)
    load = fleet.requests_per_window * random.lognormal(-0.125, 0.5, fleet.devices)
    before = _sums(own, load * trial.windows_before, random)
    now = np.zeros((2, fleet.devices))  # requests and errors since the rollout began, or since the device's switch
    phase = random.uniform(0, 2 * np.pi)
    updated = 0
    for wave, share in enumerate(trial.waves):
        reached = max(1, round(share * fleet.devices))
        now[:, updated:reached] = 0.0
        updated = reached
        if updated == fleet.devices:
            break
        for window in range(trial.windows_per_wave):
            tide = 1 + fleet.swing * np.sin(phase + (wave * trial.windows_per_wave + window) / 20)
            rates = own * tide
            rates[:updated] += trial.added_errors
            now += _sums(rates, load, random)
            decision = assess(trial.policy, _evidence(before, now, updated)).decision
            if decision is Decision.STOP:
                return Outcome(decision, updated / fleet.devices)
            if decision is Decision.PASS:
                break
    return Outcome(Decision.PASS, 1.0)


def stopped(outcomes: Sequence[Outcome], before: float = 1.0) -> float:
    """Return the share of rollouts that were stopped with no more than `before` of the fleet exposed."""
    return sum(one.decision is Decision.STOP and one.exposed <= before for one in outcomes) / len(outcomes)


def _own_rates(fleet: Fleet, random: np.random.Generator) -> Values:
    mean, deviation = fleet.error_rate, fleet.error_rate * fleet.spread
    strength = mean * (1 - mean) / deviation**2 - 1
    own = random.beta(mean * strength, (1 - mean) * strength, fleet.devices)
    own[random.permutation(fleet.devices)[: fleet.lemons]] = 1.0
    return np.asarray(own, np.float64)


def _sums(rates: Values, load: Values, random: np.random.Generator) -> Values:
    requests = random.poisson(load)
    return np.stack([requests, random.binomial(requests, np.clip(rates, 0, 1))]).astype(np.float64)


def _evidence(before: Values, now: Values, updated: int) -> Evidence:
    rows = np.stack([now[1], now[0], before[1], before[0]]).T
    return Evidence({Metric.ERRORS: rows[:updated]}, {Metric.ERRORS: rows[updated:]})
