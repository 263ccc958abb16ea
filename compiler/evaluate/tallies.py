"""What a metric remembers of a model's answers, sample by sample, and the value it makes of them under any weights."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from compiler.evaluate.port import Array, Feed, Outputs

# How often each sample counts, [n]: ones for the value itself, a resampling's counts for its interval.
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """One sample's way through a model; `results` are what the postprocess makes of the outputs, or the outputs themselves."""

    feed: Feed
    outputs: Outputs
    results: Outputs

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """Return the first result, flat."""
        return next(iter(self.results.values())).astype(np.float64).ravel()

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Return all outputs one after the other, flat."""
        return np.concatenate([output.astype(np.float64).ravel() for output in self.outputs.values()])


class Tally(Protocol):
    """One metric of one model; its value is asked for once all samples are there."""

    def add(self, answer: Answer, truth: Array) -> None:
        """Remember what the metric needs of one more sample, a few numbers."""

    def value(self, weights: Weights) -> float:
        """Return the metric; NaN where the weighted samples do not define it."""

    @property
    def columns(self) -> Mapping[str, array[Any]]:
        """Return all that it remembers, to be written down, or filled again in a tally that has seen nothing."""


class Mean:
    """The mean of one number for each sample."""

    def __init__(self, score: Callable[[Answer, Array], float]) -> None:
        self._score = score
        self._scores = array("d")

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """Return each sample's number."""
        return np.frombuffer(self._scores, np.float64)

    def add(self, answer: Answer, truth: Array) -> None:
        """Score one sample."""
        self._scores.append(float(self._score(answer, truth)))

    def value(self, weights: Weights) -> float:
        """Return the weighted mean."""
        return float(self.scores @ weights / weights.sum())

    @property
    def columns(self) -> Mapping[str, array[Any]]:
        """Return the scores."""
        return {"scores": self._scores}


class Decisions:
    """Which class was chosen and which was right; `rate` makes one number of each class's hits, choices and occurrences."""

    def __init__(self, rate: Callable[[Weights, Weights, Weights], Weights]) -> None:
        self._rate = rate
        self._chosen = array("q")
        self._truth = array("q")

    def add(self, answer: Answer, truth: Array) -> None:
        """Remember one choice."""
        self._chosen.append(decision(answer.scores))
        self._truth.append(int(truth))

    def value(self, weights: Weights) -> float:
        """Return the mean over the classes that were chosen or occur, each counting the same ("macro")."""
        chosen, truth = np.frombuffer(self._chosen, np.int64), np.frombuffer(self._truth, np.int64)
        classes = int(max(chosen.max(), truth.max())) + 1
        hits: Weights = np.bincount(truth, weights * (chosen == truth), classes).astype(np.float64)
        choices: Weights = np.bincount(chosen, weights, classes).astype(np.float64)
        occurrences: Weights = np.bincount(truth, weights, classes).astype(np.float64)
        is_met = choices + occurrences > 0
        return float(self._rate(hits, choices, occurrences)[is_met].mean())

    @property
    def columns(self) -> Mapping[str, array[Any]]:
        """Return both choices."""
        return {"chosen": self._chosen, "truth": self._truth}


class Errors:
    """How far the outputs lie from their targets, over all values of all samples."""

    def __init__(self, rate: Callable[[npt.NDArray[np.float64]], float]) -> None:
        self._rate = rate
        self._sums = array("d")

    def add(self, answer: Answer, truth: Array) -> None:
        """Remember five sums: values, |error|, error², target, target²."""
        targets = truth.astype(np.float64).ravel()
        errors = answer.values - targets
        self._sums.extend((targets.size, np.abs(errors).sum(), (errors**2).sum(), targets.sum(), (targets**2).sum()))

    def value(self, weights: Weights) -> float:
        """Return the rate of the weighted sums."""
        return self._rate(weights @ np.frombuffer(self._sums, np.float64).reshape(-1, 5))

    @property
    def columns(self) -> Mapping[str, array[Any]]:
        """Return the sums."""
        return {"sums": self._sums}


def decision(scores: npt.NDArray[np.float64]) -> int:
    """Return the class that scores stand for: the largest, or whether a single one reaches one half."""
    return int(scores.argmax()) if scores.size > 1 else int(scores[0] >= 0.5)


def cosine(answer: Answer, truth: Array) -> float:
    """Return the cosine of the angle between outputs and targets; two vectors of zeros agree."""
    ours, theirs = answer.values, truth.astype(np.float64).ravel()
    norms = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    if norms == 0.0:
        return float(not ours.any() and not theirs.any())
    return float(ours @ theirs / norms)


def ratio(part: Weights, whole: Weights) -> Weights:
    """Divide, and return 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def r2(sums: npt.NDArray[np.float64]) -> float:
    """Return the share of the targets' variance that the outputs explain."""
    count, _, squares, total, total_squares = sums
    variance = total_squares - total**2 / count
    return float(1 - squares / variance) if variance > 0 else float("nan")
