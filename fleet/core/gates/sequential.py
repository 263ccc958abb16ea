"""A test that may be looked at after every report: the mixture sequential probability ratio test on means of devices.

The device is the unit of randomisation: requests of one device resemble each other, so that counting them as independent would find a
difference in any two devices. What is compared are trimmed means of per-device rates with their between-device variance (Yuen, Biometrika
61, 1974), in the asymptotically anytime-valid form of the mixture SPRT (Robbins, 1970; Johari et al., "Always valid inference", 2022;
Waudby-Smith et al., "Time-uniform central limit theory", 2024). Few devices are paid for by Student's distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri, stdtr, stdtrit

from fleet.core.gates.evidence import Rates, Values

# Share of devices cut off at either end, so that one broken device neither decides nor hides the rest.
TRIM = 0.1
TRIMMED_FROM = 5
# Fewer canaries say nothing of how canaries differ: the control's spread stands in, if it is known well enough.
MIN_SPREAD_DEVICES = 3
MIN_CONTROL_FOR_SPREAD = 5
# A baseline is made use of when it is known for this many devices of the control.
MIN_CONTROL_FOR_BASELINE = 10
SMALLEST_P = 1e-300
# Of the interval that is shown to people; decisions are made by the e-values.
SHOWN_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Question:
    """Is the canary's mean more than `margin` above the control's, or above nothing without a control?"""

    margin: float
    # A difference worth finding quickly, in the metric's unit: the mixture's standard deviation.
    scale: float
    # Counts of rare things have a variance even when none were seen.
    is_count: bool


@dataclass(frozen=True)
class Answer:
    """How the arms compare: means in the metric's unit, and the logarithms of both e-values."""

    canary: float
    control: float
    probability_worse: float
    log_e_worse: float
    log_e_better: float
    # Canary minus control of trimmed means, beside what the devices' own past explains, and its confidence interval as of now.
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class _Mean:
    value: float
    variance: float
    freedom: float


def compare(question: Question, canary: Rates, control: Rates | None) -> Answer | None:
    """Return the answer so far; None while there are too few devices for any."""
    ours, theirs = canary.now, None if control is None else control.now
    if control is not None and theirs is not None:
        ours, theirs = _relative_to_baseline(canary, control)
    if ours.size == 0 or (theirs is not None and theirs.size == 0):
        return None
    means = _means(ours, theirs, _cut(ours.size))
    if means is None:
        return None
    mean, reference = means
    floor = _count_variance(canary) if question.is_count else (question.scale / 100) ** 2 / ours.size
    variance = max(mean.variance, floor) + reference.variance
    excess = mean.value - reference.value - question.margin
    freedom = _freedom(mean, reference, floor)
    statistic = excess / math.sqrt(variance)
    reach = float(stdtrit(freedom, (1 + SHOWN_CONFIDENCE) / 2)) * math.sqrt(variance)
    difference = mean.value - reference.value
    normal = _as_normal(statistic, freedom)
    variance = variance if 0 in (normal, excess) else (excess / normal) ** 2
    return Answer(
        canary=float(np.mean(canary.now)),
        control=0.0 if control is None else float(np.mean(control.now)),
        probability_worse=float(stdtr(freedom, statistic)),
        log_e_worse=_log_mixture(normal, variance, question.scale),
        log_e_better=_log_mixture(-normal, variance, question.scale),
        difference=difference,
        low=difference - reach,
        high=difference + reach,
    )


def _relative_to_baseline(canary: Rates, control: Rates) -> tuple[Values, Values]:
    """Take away what a device's own past explains (CUPED; Deng et al., 2013), as far as it does in the control."""
    is_known = ~np.isnan(control.before)
    if is_known.sum() < MIN_CONTROL_FOR_BASELINE:
        return canary.now, control.now
    past, present = control.before[is_known], control.now[is_known]
    spread = float(np.var(past))
    slope = 0.0 if spread == 0 else min(1.0, max(0.0, float(np.mean((past - past.mean()) * (present - present.mean()))) / spread))
    centre = float(past.mean())

    def explained(rates: Rates) -> Values:
        return np.asarray(slope * np.where(np.isnan(rates.before), 0.0, rates.before - centre), np.float64)

    return canary.now - explained(canary), control.now - explained(control)


def _cut(count: int) -> float:
    if count < TRIMMED_FROM:
        return 0.0
    return max(1, int(TRIM * count)) / count


def _means(ours: Values, theirs: Values | None, cut: float) -> tuple[_Mean, _Mean] | None:
    reference = _Mean(0.0, 0.0, math.inf)
    if theirs is not None:
        if theirs.size < 2:
            return None
        reference = _trimmed_mean(theirs, cut)
    if ours.size >= MIN_SPREAD_DEVICES:
        return _trimmed_mean(ours, cut), reference
    if theirs is None or theirs.size < MIN_CONTROL_FOR_SPREAD:
        return None
    return _Mean(float(ours.mean()), float(theirs.var(ddof=1)) / ours.size, theirs.size - 1), reference


def _trimmed_mean(values: Values, cut: float) -> _Mean:
    count = values.size
    cut_off = min(round(cut * count), (count - 2) // 2)  # two at least are left
    left = count - 2 * cut_off
    ordered = np.sort(values)
    inner = ordered[cut_off : count - cut_off]
    winsorized = np.clip(ordered, inner[0], inner[-1])
    variance = float(winsorized.var(ddof=1)) * (count - 1) / (left * (left - 1)) if left > 1 else math.inf
    return _Mean(float(inner.mean()), variance, left - 1)


def _count_variance(rates: Rates) -> float:
    """Return what chance alone does to the mean of counts: Poisson's, with half a count more than was seen."""
    weight = float(rates.weight.sum())
    seen = float((rates.now * rates.weight).sum())
    return (seen + 0.5) / weight**2


def _freedom(mean: _Mean, reference: _Mean, floor: float) -> float:
    """Welch and Satterthwaite's; chance that is known needs no estimate."""
    if mean.variance <= floor and reference.variance == 0:
        return 1e6
    total = max(mean.variance, floor) + reference.variance
    parts = mean.variance**2 / mean.freedom + (reference.variance**2 / reference.freedom if math.isfinite(reference.freedom) else 0.0)
    return min(1e6, total**2 / parts) if parts > 0 else 1e6


def _as_normal(statistic: float, freedom: float) -> float:
    """Return the normal quantile of a Student statistic's tail."""
    tail = max(SMALLEST_P, float(stdtr(freedom, -abs(statistic))))
    return math.copysign(float(-ndtri(tail)), statistic)


def _log_mixture(normal: float, variance: float, scale: float) -> float:
    """Return the log e-value of a one-sided difference, half-normally mixed over sizes of about `scale`."""
    mixed = variance + scale**2
    ratio = scale / math.sqrt(mixed)
    return math.log(2) + 0.5 * math.log(variance / mixed) + float(log_ndtr(normal * ratio)) + 0.5 * (normal * ratio) ** 2
