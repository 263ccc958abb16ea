"""Mean average precision of a detector: how many of its boxes find a thing, at every score it could be cut off at."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.evaluate.port import Array
from compiler.evaluate.tallies import Answer, Weights
from contracts.detections import overlaps

Column = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]
# A box is right when it shares at least this much with a thing of its class that no better box has found.
OVERLAP = 0.5


class MeanAveragePrecision:
    """mAP50 over the classes that occur: area under precision over recall, precision being the best at that recall or a later one."""

    def __init__(self) -> None:
        # Boxes: image, class, score, whether it is a hit. Things: how many each image has, and their classes.
        self._image, self._class, self._score, self._hit = array("q"), array("q"), array("d"), array("d")
        self._things, self._thing_class = array("q"), array("q")

    def add(self, answer: Answer, truth: Array) -> None:
        """Match one image's boxes with its things, best first; `truth` is [things, 5]: x1, y1, x2, y2, class."""
        boxes, scores, classes = (answer.results[name][0] for name in ("boxes", "scores", "classes"))
        things = truth[truth[:, 4] >= 0]
        is_found = np.zeros(len(things), bool)
        shared = overlaps(boxes.astype(np.float32), things[:, :4].astype(np.float32))
        for index in range(int((classes >= 0).sum())):
            free = np.where((things[:, 4] == classes[index]) & ~is_found, shared[index], 0.0)
            best = int(free.argmax()) if len(things) else -1
            is_hit = best >= 0 and bool(free[best] >= OVERLAP)
            if is_hit:
                is_found[best] = True
            self._image.append(len(self._things))
            self._class.append(int(classes[index]))
            self._score.append(float(scores[index]))
            self._hit.append(float(is_hit))
        self._things.append(len(things))
        self._thing_class.extend(things[:, 4].astype(int).tolist())

    def value(self, weights: Weights) -> float:
        """Return the mean over classes; NaN where nothing is to be found."""
        precisions = [_average_precision(column, weights) for column in self._columns]
        known = [precision for precision in precisions if not np.isnan(precision)]
        return float(np.mean(known)) if known else float("nan")

    @property
    def columns(self) -> Mapping[str, array[Any]]:
        """Return boxes and things."""
        boxes: dict[str, array[Any]] = {"image": self._image, "class": self._class, "score": self._score, "hit": self._hit}
        return {**boxes, "things": self._things, "thing_class": self._thing_class}

    @cached_property
    def _columns(self) -> list[Column]:
        """For each class that occurs: images of its boxes by falling score, which of them are hits, and images of its things."""
        image, kind = np.frombuffer(self._image, np.int64), np.frombuffer(self._class, np.int64)
        score, hit = np.frombuffer(self._score, np.float64), np.frombuffer(self._hit, np.float64)
        things, thing_class = np.frombuffer(self._things, np.int64), np.frombuffer(self._thing_class, np.int64)
        thing_image = np.repeat(np.arange(len(things)), things)
        columns: list[Column] = []
        for label in np.unique(thing_class):
            own = np.flatnonzero(kind == label)
            own = own[np.argsort(-score[own], kind="stable")]
            columns.append((image[own], hit[own], thing_image[thing_class == label]))
        return columns


def _average_precision(column: Column, weights: Weights) -> float:
    images, hits, things = column
    total = weights[things].sum()
    if total == 0:
        return float("nan")
    if not len(images):
        return 0.0
    right, all_boxes = np.cumsum(weights[images] * hits), np.cumsum(weights[images])
    precision = np.divide(right, all_boxes, out=np.zeros_like(right), where=all_boxes > 0)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(right / total, prepend=0.0) * best_from_here).sum())
