"""The metrics by name: what each needs to know of a sample, which way is better, and how it is reckoned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from compiler.errors import OptionError
from compiler.evaluate.boxes import MeanAveragePrecision
from compiler.evaluate.generator import load_function
from compiler.evaluate.port import Array
from compiler.evaluate.ranking import RocAuc
from compiler.evaluate.tallies import Answer, Decisions, Errors, Mean, Tally, cosine, r2, ratio

Hits = npt.NDArray[np.bool_]
# A class index; normal or anomaly; values like the outputs', or else the float model's own; always the float model's own; boxes; any.
Truth = Literal["class", "anomaly", "values", "float", "boxes", "any"]


@dataclass(frozen=True)
class Metric:
    """How well one model answers."""

    name: str
    truth: Truth
    begin: Callable[[], Tally]
    # A share of 1, which people read in percent; other metrics have a unit of their own.
    is_share: bool = True
    # An error: less is better.
    is_error: bool = False
    # Each sample is right or wrong, and the metric is the share that is right.
    is_proportion: bool = False

    def drop(self, before: float, after: float) -> float:
        """Return how much worse `after` is."""
        return after - before if self.is_error else before - after


def top_k(scores: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], k: int) -> Hits:
    """Say for each row of `scores` [n, classes] whether its label is among the k largest; a NaN is never right."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    # Of equal scores the lower index counts as larger, as argmax does.
    is_earlier = np.arange(scores.shape[1])[None] < labels[:, None]
    ahead = (scores > own) | ((scores == own) & is_earlier)
    return np.asarray(np.isfinite(scores).all(axis=1) & (ahead.sum(axis=1) < k))


def _is_among(k: int) -> Callable[[Answer, Array], float]:
    return lambda answer, truth: float(top_k(answer.scores[None], np.asarray(truth, np.int64).reshape(1), k)[0])


METRICS = {
    metric.name: metric
    for metric in (
        Metric("top1", "class", lambda: Mean(_is_among(1)), is_proportion=True),
        Metric("top5", "class", lambda: Mean(_is_among(5)), is_proportion=True),
        Metric("precision", "class", lambda: Decisions(lambda hits, chosen, _: ratio(hits, chosen))),
        Metric("recall", "class", lambda: Decisions(lambda hits, _, truth: ratio(hits, truth))),
        Metric("f1", "class", lambda: Decisions(lambda hits, chosen, truth: ratio(2 * hits, chosen + truth))),
        Metric("roc-auc", "class", RocAuc),
        Metric("anomaly-auc", "anomaly", lambda: RocAuc(of_reconstruction=True)),
        Metric("map50", "boxes", MeanAveragePrecision),
        Metric("mae", "values", lambda: Errors(lambda sums: float(sums[1] / sums[0])), is_share=False, is_error=True),
        Metric("mse", "values", lambda: Errors(lambda sums: float(sums[2] / sums[0])), is_share=False, is_error=True),
        Metric("r2", "values", lambda: Errors(r2), is_share=False),
        Metric("cosine", "float", lambda: Mean(cosine), is_share=False),
    )
}


def metric_named(name: str) -> Metric:
    """Return a metric by name, or the user's own; raise OptionError for neither.

    The user's own is `module:function`: it is called as function(result, label) for each sample, with a dict where a model has several
    results and with the float model's values where there is no label, and returns a number; more is better, the metric is the mean.
    """
    if name in METRICS:
        return METRICS[name]
    if ":" not in name:
        raise OptionError("--metric", "name", f"{', '.join(METRICS)} or module:function", repr(name))
    function = load_function("--metric", name)

    def score(answer: Answer, truth: Array) -> float:
        results = dict(answer.results)
        found = function(next(iter(results.values())) if len(results) == 1 else results, truth)
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise OptionError("--metric", name, "a number for each sample", repr(found)) from error

    return Metric(name, "any", lambda: Mean(score), is_share=False)
