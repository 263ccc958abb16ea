"""Turns a detector's raw outputs into boxes: the decodings that published detectors need, and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# How a detector says what it found; see the function of the same name.
Decoding = Literal["corners", "grid", "yolov5", "yolov8"]
# No more boxes than this are compared with each other: the best ones.
MAX_CANDIDATES = 1000


@dataclass(frozen=True)
class Candidates:
    """Every place a detector looked at: `boxes` [n, 4] as x1, y1, x2, y2 in shares of the image, `scores` [n, classes]."""

    boxes: Floats
    scores: Floats


def corners(outputs: list[npt.NDArray[Any]], size: tuple[int, int]) -> Candidates:  # noqa: ARG001 - shares need no size
    """Two outputs: corners [1, n, 4] in shares of the image, and scores [1, n, classes] in either order."""
    boxes, scores = sorted((output.reshape(-1, output.shape[-1]) for output in outputs), key=lambda output: output.shape[1] != 4)
    return Candidates(boxes.astype(np.float32), scores.astype(np.float32))


def grid(outputs: list[npt.NDArray[Any]], size: tuple[int, int]) -> Candidates:  # noqa: ARG001 - shares need no size
    """One output [1, 5 + classes, rows, columns]: objectness, offset of the centre, width, height, classes, as FastestDet has them.

    An offset is a tanh of cells and a size a sigmoid of the image; a score is objectness to the 0.6 times class to the 0.4.
    """
    cells: Floats = outputs[0].reshape(outputs[0].shape[-3:]).astype(np.float32)
    rows, columns = cells.shape[1:]
    y, x = np.meshgrid(np.arange(rows, dtype=np.float32), np.arange(columns, dtype=np.float32), indexing="ij")
    centre_x, centre_y = (x + np.tanh(cells[1])) / columns, (y + np.tanh(cells[2])) / rows
    width, height = _sigmoid(cells[3]), _sigmoid(cells[4])
    positive = np.maximum(cells, 0.0)
    scores = positive[0] ** np.float32(0.6) * positive[5:] ** np.float32(0.4)
    return Candidates(_boxes(centre_x, centre_y, width, height), np.ascontiguousarray(scores.reshape(len(scores), -1).T))


def yolov5(outputs: list[npt.NDArray[Any]], size: tuple[int, int]) -> Candidates:
    """One output [1, n, 5 + classes]: centre, width and height in pixels, objectness, classes."""
    rows = outputs[0].reshape(-1, outputs[0].shape[-1]).astype(np.float32)
    return Candidates(_pixel_boxes(rows[:, :4].T, size), rows[:, 4:5] * rows[:, 5:])


def yolov8(outputs: list[npt.NDArray[Any]], size: tuple[int, int]) -> Candidates:
    """One output [1, 4 + classes, n]: centre, width and height in pixels, classes."""
    rows = outputs[0].reshape(outputs[0].shape[-2:]).astype(np.float32)
    return Candidates(_pixel_boxes(rows[:4], size), np.ascontiguousarray(rows[4:].T))


DECODINGS: dict[Decoding, Callable[[list[npt.NDArray[Any]], tuple[int, int]], Candidates]] = {
    "corners": corners,
    "grid": grid,
    "yolov5": yolov5,
    "yolov8": yolov8,
}


def suppress(boxes: Floats, classes: npt.NDArray[np.int64], overlap: float) -> npt.NDArray[np.int64]:
    """Return the indexes of the boxes that stay, given best first: each class drops those that overlap a better one by more."""
    remaining = np.arange(len(boxes))
    kept: list[int] = []
    while len(remaining):
        best, rest = int(remaining[0]), remaining[1:]
        kept.append(best)
        is_same = (classes[rest] == classes[best]) & (overlaps(boxes[best : best + 1], boxes[rest])[0] > overlap)
        remaining = rest[~is_same]
    return np.asarray(kept, np.int64)


def overlaps(ours: Floats, theirs: Floats) -> Floats:
    """Return intersection over union of every pair, [ours, theirs]."""
    top_left = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    bottom_right = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = np.prod(np.maximum(bottom_right - top_left, 0.0), axis=2)
    area = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1) for boxes in (ours, theirs)]
    whole = area[0][:, None] + area[1][None, :] - shared
    return np.asarray(shared / np.maximum(whole, np.float32(1e-12)), np.float32)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), np.float32)


def _pixel_boxes(rows: Floats, size: tuple[int, int]) -> Floats:
    height, width = size
    return _boxes(rows[0] / width, rows[1] / height, rows[2] / width, rows[3] / height)


def _boxes(x: Floats, y: Floats, width: Floats, height: Floats) -> Floats:
    edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return np.stack([edge.ravel() for edge in edges], axis=1).astype(np.float32)
