"""A test that may be looked at after every report: the mixture sequential probability ratio test on means of devices.

The device is the unit of randomisation: requests of one device resemble each other, so that counting them as independent would find a
difference in any two devices. What is compared are trimmed means of per-device rates with their between-device variance (Yuen, Biometrika
61, 1974), in the asymptotically anytime-valid form of the mixture SPRT (Robbins, 1970; Johari et al., "Always valid inference", 2022;
Waudby-Smith et al., "Time-uniform central limit theory", 2024). Few devices are paid for by Student's distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, stdtr, stdtrit

from fleet.core.gates.rates import Rates, Values

# Share of devices cut off at either end, so that one broken device neither decides nor hides the rest.
TRIM = 0.1
TRIMMED_FROM = 5
# Fewer canaries say nothing of how canaries differ: the control's spread stands in, if it is known well enough.
MIN_SPREAD_DEVICES = 3
MIN_CONTROL_FOR_SPREAD = 5
# Inputs of one device resemble each other: in a census of few devices so many of them count as one.
RESEMBLANCE = 4.0
# A baseline is made use of when it is known for this many devices of the control.
MIN_CONTROL_FOR_BASELINE = 10
SMALLEST_P = 1e-300
# Of Student's distribution that is as good as normal.
MOST_FREEDOM = 1e6
# Chance that an interval ever misses the true difference, however often it was looked at.
INTERVAL_MISS = 0.05
# An interval is asked for before much is known, and of large differences too: it is mixed this much more widely.
INTERVAL_SCALES = 2.0

Number = TypeVar("Number", float, Values)


@dataclass(frozen=True)
class Question:
    """Is the canary's mean more than `margin` above the control's, or above nothing without a control?"""

    margin: float
    # A difference worth finding quickly, in the metric's unit: the mixture's standard deviation.
    scale: float
    # Counts of rare things have a variance even when none were seen.
    is_count: bool
    # The devices that were measured are the very ones that are decided about: how devices differ need not be known.
    is_census: bool = False


@dataclass(frozen=True)
class Answer(Generic[Number]):
    """How the arms compare: means in the metric's unit, and the logarithms of both e-values."""

    canary: Number
    control: Number
    probability_worse: Number
    log_e_worse: Number
    log_e_better: Number
    # Canary less control, trimmed and freed of what the past explains, and an interval that holds it at every look.
    difference: Number
    low: Number
    high: Number


@dataclass(frozen=True)
class Statistic:
    """How far the canary lies above its limit, in standard deviations that were estimated with so much freedom."""

    value: Values
    freedom: Values
    # Canary less control, and the variance of that.
    difference: Values
    variance: Values
    # That of a canary just at its limit, where it is another one.
    variance_at_limit: Values | None = None


@dataclass(frozen=True)
class _Mean:
    value: Values
    variance: Values
    freedom: float


def compare_means(question: Question, canary: Rates, control: Rates | None) -> Answer[Values] | None:
    """Return the answer so far, or many at once: rates of shape [..., devices] give values of shape [...].

    None while there are too few devices for any.
    """
    ours, theirs = canary.now, None if control is None else control.now
    if control is not None and theirs is not None:
        ours, theirs = _relative_to_baseline(canary, control)
    if ours.size == 0 or (theirs is not None and theirs.size == 0):
        return None
    is_small_census = question.is_census and theirs is None and ours.shape[-1] < MIN_SPREAD_DEVICES
    means = _counted(canary) if is_small_census else _means(ours, theirs, _cut(ours.shape[-1]))
    if means is None:
        return None
    mean, reference = means
    floor = _count_variance(canary) if question.is_count else np.asarray((question.scale / 100) ** 2 / ours.shape[-1])
    variance = np.maximum(mean.variance, floor) + reference.variance
    difference = mean.value - reference.value
    excess = difference - question.margin
    seen = np.mean(canary.now, axis=-1), np.zeros(()) if control is None else np.mean(control.now, axis=-1)
    found = Statistic(excess / np.sqrt(variance), _freedom(mean, reference, floor), difference, variance)
    return answered(question, seen, found)


def answered(question: Question, seen: tuple[Values, Values], found: Statistic) -> Answer[Values]:
    """Turn a statistic that is Student's where the canary is just at the limit into e-values, and its difference into an interval."""
    excess = found.difference - question.margin
    normal = _as_normal(found.value, found.freedom)
    half = _half_width(found.variance, found.freedom, INTERVAL_SCALES * question.scale)
    variance = found.variance_at_limit
    if variance is None:
        variance = np.where((normal == 0) | (excess == 0), found.variance, (excess / np.where(normal == 0, 1.0, normal)) ** 2)
    return Answer(
        canary=seen[0],
        control=seen[1],
        probability_worse=stdtr(found.freedom, found.value),
        log_e_worse=_log_mixture(normal, variance, question.scale),
        log_e_better=_log_mixture(-normal, variance, question.scale),
        difference=found.difference,
        low=found.difference - half,
        high=found.difference + half,
    )


def _relative_to_baseline(canary: Rates, control: Rates) -> tuple[Values, Values]:
    """Take away what a device's own past explains (CUPED; Deng et al., 2013), as far as it does in the control."""
    is_known = ~np.isnan(control.before)
    known = is_known.sum(axis=-1, keepdims=True)
    if np.any(known < MIN_CONTROL_FOR_BASELINE):
        return canary.now, control.now
    past, present = np.where(is_known, control.before, 0.0), np.where(is_known, control.now, 0.0)
    centre, usual = past.sum(axis=-1, keepdims=True) / known, present.sum(axis=-1, keepdims=True) / known
    away = np.where(is_known, past - centre, 0.0)
    spread = (away**2).sum(axis=-1, keepdims=True)
    shared = (away * (present - usual)).sum(axis=-1, keepdims=True)
    slope = np.clip(np.divide(shared, spread, out=np.zeros_like(spread), where=spread > 0), 0.0, 1.0)

    def explained(rates: Rates) -> Values:
        return np.asarray(slope * np.where(np.isnan(rates.before), 0.0, rates.before - centre), np.float64)

    return canary.now - explained(canary), control.now - explained(control)


def _cut(count: int) -> float:
    if count < TRIMMED_FROM:
        return 0.0
    return max(1, int(TRIM * count)) / count


def _means(ours: Values, theirs: Values | None, cut: float) -> tuple[_Mean, _Mean] | None:
    reference = _Mean(np.zeros(()), np.zeros(()), math.inf)
    canaries, controls = ours.shape[-1], 0 if theirs is None else theirs.shape[-1]
    if theirs is not None:
        if controls < 2:
            return None
        reference = _trimmed_mean(theirs, cut)
    if canaries >= MIN_SPREAD_DEVICES:
        return _trimmed_mean(ours, cut), reference
    if theirs is None or controls < MIN_CONTROL_FOR_SPREAD:
        return None
    return _Mean(ours.mean(axis=-1), theirs.var(axis=-1, ddof=1) / canaries, controls - 1), reference


def _counted(rates: Rates) -> tuple[_Mean, _Mean]:
    """Return the mean over all that was counted, which chance alone has made what it is."""
    mean = np.asarray((rates.now * rates.weight).sum(axis=-1) / rates.weight.sum(axis=-1), np.float64)
    return _Mean(mean, RESEMBLANCE * _count_variance(rates), math.inf), _Mean(np.zeros(()), np.zeros(()), math.inf)


def _trimmed_mean(values: Values, cut: float) -> _Mean:
    count = values.shape[-1]
    cut_off = min(round(cut * count), (count - 2) // 2)  # two at least are left
    left = count - 2 * cut_off
    ordered = np.sort(values, axis=-1)
    inner = ordered[..., cut_off : count - cut_off]
    winsorized = np.clip(ordered, inner[..., :1], inner[..., -1:])
    variance = winsorized.var(axis=-1, ddof=1) * (count - 1) / (left * (left - 1))
    return _Mean(inner.mean(axis=-1), variance, left - 1)


def _count_variance(rates: Rates) -> Values:
    """Return what chance alone does to the mean of counts: Poisson's, with half a count more than was seen."""
    weight = rates.weight.sum(axis=-1)
    seen = (rates.now * rates.weight).sum(axis=-1)
    return np.asarray((seen + 0.5) / weight**2, np.float64)


def _freedom(mean: _Mean, reference: _Mean, floor: Values) -> Values:
    """Welch and Satterthwaite's; chance that is known needs no estimate."""
    total = np.maximum(mean.variance, floor) + reference.variance
    parts = mean.variance**2 / mean.freedom + reference.variance**2 / reference.freedom
    estimated = np.divide(total**2, parts, out=np.full_like(total, MOST_FREEDOM), where=parts > 0)
    is_known = (mean.variance <= floor) & (reference.variance == 0)
    return np.where(is_known, MOST_FREEDOM, np.minimum(MOST_FREEDOM, estimated))


def _as_normal(statistic: Values, freedom: Values) -> Values:
    """Return the normal quantile of a Student statistic's tail."""
    tail = np.maximum(SMALLEST_P, stdtr(freedom, -np.abs(statistic)))
    return np.asarray(np.copysign(-ndtri(tail), statistic))


def _log_mixture(normal: Values, variance: Values, scale: float) -> Values:
    """Return the log e-value of a one-sided difference, half-normally mixed over sizes of about `scale`."""
    mixed = variance + scale**2
    ratio = scale / np.sqrt(mixed)
    return np.asarray(math.log(2) + 0.5 * np.log(variance / mixed) + log_ndtr(normal * ratio) + 0.5 * (normal * ratio) ** 2)


def _half_width(variance: Values, freedom: Values, scale: float) -> Values:
    """Return half the confidence sequence of a normal mixture (Robbins, 1970), its normal quantile turned into Student's."""
    mixed = variance + scale**2
    normal = np.sqrt(2 * mixed / scale**2 * (0.5 * np.log(mixed / variance) - math.log(INTERVAL_MISS)))
    tail = np.maximum(SMALLEST_P, ndtr(-normal))
    return np.asarray(-stdtrit(freedom, tail) * np.sqrt(variance))
