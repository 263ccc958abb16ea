"""Resizes, pads and crops images in plain numpy, so that every machine computes the same pixels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

# nearest: the pixel under the new pixel's centre; bilinear: between its two neighbours, as OpenCV's INTER_LINEAR does;
# antialias: bilinear over all pixels that a smaller image's pixel covers, as Pillow and torchvision do.
Kernel = Literal["nearest", "bilinear", "antialias"]


def target_size(height: int, width: int, wanted: tuple[int, ...]) -> tuple[int, int]:
    """Return (height, width) after a resize to (height, width), or to a shorter side with the shape kept."""
    if len(wanted) == 2:
        return wanted[0], wanted[1]
    (side,) = wanted
    return (side, round(width * side / height)) if height <= width else (round(height * side / width), side)


def fitting_size(height: int, width: int, wanted: tuple[int, ...]) -> tuple[int, int]:
    """Return the largest (height, width) of the same shape within (height, width); no side vanishes."""
    share = min(wanted[0] / height, wanted[1] / width)
    return min(max(round(height * share), 1), wanted[0]), min(max(round(width * share), 1), wanted[1])


def pad(images: npt.NDArray[np.float32], height: int, width: int, value: float) -> npt.NDArray[np.float32]:
    """Put [n, height, width, channels] in the middle of a larger image of one value; an odd remainder adds one more at the end."""
    count, inner_height, inner_width, channels = images.shape
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    padded = np.full((count, height, width, channels), value, np.float32)
    padded[:, top : top + inner_height, left : left + inner_width] = images
    return padded


def resize(images: npt.NDArray[Any], height: int, width: int, kernel: Kernel) -> npt.NDArray[np.float32]:
    """Resize [n, height, width, channels] to float32 of another height and width; nothing is rounded to integers.

    Only the pixels that are needed become float32: a large photo is never widened whole.
    """
    return _resize_axis(_resize_axis(images, 1, height, kernel), 2, width, kernel)


def crop(images: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Cut the centre out of [n, height, width, channels]; an odd remainder leaves one row or column more at the end."""
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


def _resize_axis(values: npt.NDArray[Any], axis: int, size: int, kernel: Kernel) -> npt.NDArray[np.float32]:
    if values.shape[axis] == size:
        return values.astype(np.float32, copy=False)
    indexes, weights = _taps(values.shape[axis], size, kernel)
    along = [1] * values.ndim
    along[axis] = size
    result: npt.NDArray[np.float32] = np.zeros((*values.shape[:axis], size, *values.shape[axis + 1 :]), np.float32)
    for index, weight in zip(indexes, weights, strict=True):
        result += np.take(values, index, axis=axis).astype(np.float32, copy=False) * weight.reshape(along)
    return result


def _taps(before: int, after: int, kernel: Kernel) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return which old pixels make each new one, and how much of it: both [taps, after]."""
    scale = before / after
    centres = (np.arange(after) + 0.5) * scale
    if kernel == "nearest":
        return np.minimum(np.floor(centres), before - 1).astype(np.int64)[None], np.ones((1, after), np.float32)
    reach = max(scale, 1.0) if kernel == "antialias" else 1.0
    first = np.floor(centres - 0.5 - reach).astype(np.int64) + 1
    indexes = first + np.arange(2 * int(np.ceil(reach)))[:, None]
    weights = np.maximum(0.0, 1 - np.abs(indexes + 0.5 - centres) / reach)
    weights[(indexes < 0) | (indexes >= before)] = 0.0
    weights /= weights.sum(axis=0)
    return np.clip(indexes, 0, before - 1), weights.astype(np.float32)
