"""Intervals of any metric by the paired bootstrap: both models are judged on the same resampled samples.

Percentile intervals: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compiler.evaluate.intervals import Interval
from compiler.evaluate.metrics import Metric
from compiler.evaluate.tallies import Tally, Weights

REPLICATES = 1000
SEED = 0
# Two-sided 95 %.
TAIL = 0.025


@dataclass(frozen=True)
class Estimate:
    """A metric of both models, how much worse the compiled one is, and an interval for each."""

    float_value: float
    float_interval: Interval
    compiled_value: float
    compiled_interval: Interval
    drop: float
    drop_interval: Interval


def paired(metric: Metric, before: Tally, after: Tally, samples: int) -> Estimate:
    """Return the estimate for two tallies of the same samples; the same tallies give the same numbers."""
    everything = np.ones(samples)
    values = np.array([_both(before, after, everything)])
    drawn = np.array([_both(before, after, weights) for weights in _resamplings(samples)])
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if not len(drawn):
        drawn = values
    drops = np.array([metric.drop(*pair) for pair in drawn])
    drop = metric.drop(*values[0])
    return Estimate(
        float_value=float(values[0, 0]),
        float_interval=_percentiles(drawn[:, 0]),
        compiled_value=float(values[0, 1]),
        compiled_interval=_percentiles(drawn[:, 1]),
        drop=float(drop),
        drop_interval=_widened(_percentiles(drops), samples) if metric.is_share else _percentiles(drops),
    )


def _both(before: Tally, after: Tally, weights: Weights) -> tuple[float, float]:
    first = before.value(weights)
    return first, first if after is before else after.value(weights)


def _resamplings(samples: int) -> Iterator[Weights]:
    """Yield how often each sample is drawn when as many are drawn with replacement."""
    random = np.random.default_rng(SEED)
    for _ in range(REPLICATES):
        yield np.bincount(random.integers(samples, size=samples), minlength=samples).astype(np.float64)


def _percentiles(values: Weights) -> Interval:
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    return Interval(float(low), float(high))


def _widened(interval: Interval, samples: int) -> Interval:
    """Samples that all agree cannot vary when drawn again; yet up to this share of others, unseen, may not agree.

    It is the upper end of an exact binomial interval for 0 of n (the "rule of three": J. A. Hanley and A. Lippman-Hand, JAMA 249, 1983).
    """
    if interval.high > interval.low:
        return interval
    unseen = 1 - TAIL ** (1 / samples)
    return Interval(interval.low - unseen, interval.high + unseen)
