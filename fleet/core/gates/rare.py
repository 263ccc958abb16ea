"""The same question of things that happen rarely, such as crashes: most devices have none, so that their times and counts are pooled.

The statistic is the signed root of Poisson's likelihood ratio between the best rates and the best ones within the limit, which is nearly
normal however few were counted (Barndorff-Nielsen, Biometrika 73, 1986). Devices differ: the ratio is divided by how much more they
vary than chance lets them (quasi-likelihood; McCullagh and Nelder, "Generalized Linear Models", 1989), in whichever arm that is more. A
device that does it without end counts as one that did it as often as is still likely, so that it neither decides nor hides the rest.
"""

from __future__ import annotations

import numpy as np

from fleet.core.gates.rates import Rates, Values
from fleet.core.gates.sequential import (
    MIN_CONTROL_FOR_SPREAD,
    MIN_SPREAD_DEVICES,
    TRIM,
    TRIMMED_FROM,
    Answer,
    Question,
    Statistic,
    answered,
)

# More than so many deviations, and so many, above what the others do is not chance.
CAP_DEVIATIONS = 3.0


def compare_rare(question: Question, canary: Rates, control: Rates | None) -> Answer[Values] | None:
    """Return the answer so far, or many at once: rates of shape [..., devices] give values of shape [...]; None without enough devices."""
    if control is None or control.now.shape[-1] < MIN_CONTROL_FOR_SPREAD or not canary.now.size:
        return None
    ours, theirs = _capped(canary), _capped(control)
    counts, times = (ours.sum(axis=-1), theirs.sum(axis=-1)), (canary.weight.sum(axis=-1), control.weight.sum(axis=-1))
    dispersion = _dispersion(theirs, control.weight)
    freedom = control.now.shape[-1] - 1
    if canary.now.shape[-1] >= MIN_SPREAD_DEVICES:
        dispersion = np.maximum(dispersion, _dispersion(ours, canary.weight))
        freedom += canary.now.shape[-1] - 1
    difference = counts[0] / times[0] - counts[1] / times[1]
    at_limit = _rate_at_limit(counts, times, question.margin)
    deviance = _deviance(counts[0], times[0] * (at_limit + question.margin)) + _deviance(counts[1], times[1] * at_limit)
    root = np.copysign(np.sqrt(np.maximum(0.0, deviance) / dispersion), difference - question.margin)
    variance = dispersion * ((counts[0] + 0.5) / times[0] ** 2 + (counts[1] + 0.5) / times[1] ** 2)
    usual = (counts[1] + 0.5) / times[1]
    variance_at_limit = dispersion * ((usual + question.margin) / times[0] + usual / times[1])
    seen = (canary.now * canary.weight).sum(axis=-1) / times[0], (control.now * control.weight).sum(axis=-1) / times[1]
    return answered(question, seen, Statistic(root, np.full_like(root, freedom), difference, variance, variance_at_limit))


def _capped(rates: Rates) -> Values:
    """Return each device's count, but no more than the others make likely."""
    counts, devices = rates.now * rates.weight, rates.now.shape[-1]
    cut_off = 0 if devices < TRIMMED_FROM else max(1, int(TRIM * devices))
    others = np.argsort(rates.now, axis=-1)[..., : devices - cut_off]
    taken, watched = (np.take_along_axis(values, others, axis=-1).sum(axis=-1, keepdims=True) for values in (counts, rates.weight))
    expected = taken / watched * rates.weight
    return np.asarray(np.minimum(counts, expected + CAP_DEVIATIONS * (np.sqrt(expected) + 1)))


def _dispersion(counts: Values, times: Values) -> Values:
    """Return Pearson's: 1 where devices differ no more than by chance."""
    expected = counts.sum(axis=-1, keepdims=True) / times.sum(axis=-1, keepdims=True) * times
    squares = np.divide((counts - expected) ** 2, expected, out=np.zeros_like(counts), where=expected > 0)
    return np.asarray(np.maximum(1.0, squares.sum(axis=-1) / (counts.shape[-1] - 1)))


def _rate_at_limit(counts: tuple[Values, Values], times: tuple[Values, Values], margin: float) -> Values:
    """Return the control's likeliest rate if the canary's were just `margin` above it: the root of a quadratic equation."""
    time = times[0] + times[1]
    half = (time * margin - counts[0] - counts[1]) / 2
    return np.asarray((-half + np.sqrt(half**2 + time * counts[1] * margin)) / time)


def _deviance(count: Values, expected: Values) -> Values:
    """Return twice the logarithm of how much likelier a count is by its own rate than by the expected one."""
    tiny = np.finfo(np.float64).tiny
    return np.asarray(2 * (count * np.log(np.maximum(count, tiny) / np.maximum(expected, tiny)) - count + expected))
