"""Metrics of a classifier: for each sample whether the model is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Hits = npt.NDArray[np.bool_]


def top_k(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], k: int) -> Hits:
    """Say for each row of `scores` [n, classes] whether its label is among the k largest; a NaN is never right."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    # Of equal scores the lower index counts as larger, as argmax does.
    is_earlier = np.arange(scores.shape[1])[None] < labels[:, None]
    ahead = (scores > own) | ((scores == own) & is_earlier)
    return np.asarray(np.isfinite(scores).all(axis=1) & (ahead.sum(axis=1) < k))


METRICS: dict[str, Callable[[npt.NDArray[np.float32], npt.NDArray[np.int64]], Hits]] = {
    "top1": lambda scores, labels: top_k(scores, labels, 1),
    "top5": lambda scores, labels: top_k(scores, labels, 5),
}
