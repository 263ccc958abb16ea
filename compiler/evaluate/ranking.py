"""The area under the ROC curve: how often a sample of a class is ranked above one of another."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.evaluate.port import Array
from compiler.evaluate.tallies import Answer, Weights

Ranked = tuple[npt.NDArray[np.int64], int, npt.NDArray[np.bool_]]


class RocAuc:
    """Area under the curve of class 1 of two, or the mean of every class against the rest; ties count one half.

    With `of_reconstruction` the score of a sample is the mean squared difference between input and output, as autoencoders
    detect anomalies.
    """

    def __init__(self, *, of_reconstruction: bool = False) -> None:
        self._of_reconstruction = of_reconstruction
        self._scores = array("d")
        self._truth = array("q")

    def add(self, answer: Answer, truth: Array) -> None:
        """Remember one sample's scores."""
        if self._of_reconstruction:
            given = np.concatenate([values.astype(np.float64).ravel() for values in answer.feed.values()])
            self._scores.append(float(((answer.values - given) ** 2).mean()))
        else:
            scores = answer.scores
            self._scores.extend([float(scores[1] - scores[0])] if scores.size == 2 else scores.tolist())
        self._truth.append(int(truth))

    def value(self, weights: Weights) -> float:
        """Return the mean area of all classes that have samples inside and outside."""
        areas = [area for area in (_area(ranked, weights) for ranked in self._ranked) if not np.isnan(area)]
        return float(np.mean(areas)) if areas else float("nan")

    @property
    def columns(self) -> Mapping[str, array[Any]]:
        """Return scores and classes."""
        return {"scores": self._scores, "truth": self._truth}

    @cached_property
    def _ranked(self) -> list[Ranked]:
        """Rank the samples once for each class: group of equal scores in ascending order, number of groups, who belongs to the class."""
        truth = np.frombuffer(self._truth, np.int64)
        scores = np.frombuffer(self._scores, np.float64).reshape(len(truth), -1)
        classes = [1] if scores.shape[1] == 1 else list(range(scores.shape[1]))
        ranked: list[Ranked] = []
        for label in classes:
            distinct, groups = np.unique(scores[:, 0 if len(classes) == 1 else label], return_inverse=True)
            ranked.append((groups.astype(np.int64), len(distinct), truth == label))
        return ranked


def _area(ranked: Ranked, weights: Weights) -> float:
    groups, count, is_inside = ranked
    inside = np.bincount(groups, weights * is_inside, count)
    outside = np.bincount(groups, weights * ~is_inside, count)
    pairs = inside.sum() * outside.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(outside) - outside
    return float((inside * (below + outside / 2)).sum() / pairs)
