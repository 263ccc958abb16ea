"""Decides how a frame becomes what callers of a model send: its one raw input, of the size and the numbers that its release names."""

from __future__ import annotations

import numpy as np

from agent.runtimes.port import Array, Arrays
from agent.worker.errors import SourceError
from agent.worker.model import Model
from agent.worker.sources.frame import CHANNELS, Frame
from contracts.resample import resize
from contracts.tensors import NUMPY_DTYPES, TensorSpec

# Pixels as they are: of no other type is it known what black and white would be.
PIXEL_TYPES = ("UINT8", "FP16", "FP32")
# Twice as many pixels as are kept lose nothing, and a person who asks for a snapshot should still see what it shows.
CLEAR_TIMES, LEAST_SIDE = 2, 480
# As television weighs red, green and blue.
GREY = np.array([0.299, 0.587, 0.114], np.float32)


class Fitting:
    """How frames fit one model."""

    def __init__(self, model: Model) -> None:
        """Look at a model's input; raise SourceError for one that takes no pictures."""
        inputs = model.manifest.inputs
        spec = inputs[0]
        if len(inputs) != 1 or spec.datatype not in PIXEL_TYPES or _sides(model, spec) is None:
            found = ", ".join(f"{one.name} {one.datatype} {list(one.shape)}" for one in inputs)
            raise SourceError(f"its model: expected one input of images, grey or RGB in {', '.join(PIXEL_TYPES)}, found {found}")
        self._spec = spec
        self._preprocess = model.manifest.preprocess
        self._takes_any_size = spec.name in model.image_inputs and self._preprocess.takes_any_size
        self._is_planar = _is_planar(model, spec)
        height, width, self._channels = _sides(model, spec) or (0, 0, 0)
        self._size = height, width
        self.least = self._least()

    def raw(self, frame: Frame) -> Arrays:
        """Return the input's array for one frame; one of another size is stretched, unless the release says how sizes are met."""
        pixels: Array = np.frombuffer(frame.pixels, np.uint8).reshape(1, frame.height, frame.width, CHANNELS)
        if self._channels == 1:
            pixels = (pixels.astype(np.float32) @ GREY)[..., None]
        is_fit = (frame.height, frame.width) == self._size or (self._takes_any_size and self._leads_alike(frame))
        values = pixels if is_fit else resize(pixels, *self._size, "antialias")
        dtype = np.dtype(NUMPY_DTYPES[self._spec.datatype])
        if dtype.kind == "u" and values.dtype.kind == "f":
            values = np.rint(values)
        return {self._spec.name: self._laid_out(values.astype(dtype, copy=False))}

    def _least(self) -> tuple[int, int] | None:
        """Return height and width that a picture needs to show the model all it can see; None where it takes pixels as they are."""
        sides = self._size
        if self._takes_any_size:
            if self._preprocess.resize is None:
                return None
            sides = self._preprocess.resize[0], self._preprocess.resize[-1]
        height, width = (max(CLEAR_TIMES * side, LEAST_SIDE) for side in sides)
        return height, width

    def _laid_out(self, values: Array) -> Array:
        if len(self._spec.shape) == len("NHW"):
            return values[..., 0]
        return np.ascontiguousarray(np.moveaxis(values, -1, 1)) if self._is_planar else values

    def _leads_alike(self, frame: Frame) -> bool:
        sides = frame.height, frame.width
        shape = (1, self._channels, *sides) if self._is_planar else (1, *sides, self._channels)
        return self._preprocess.leads_alike(shape[: len(self._spec.shape)], self._spec.shape)


def _is_planar(model: Model, spec: TensorSpec) -> bool:
    source = model.manifest.preprocess.source
    return len(spec.shape) == len("NCHW") and (source == "CHW" or (source is None and spec.shape[3] not in (1, CHANNELS)))


def _sides(model: Model, spec: TensorSpec) -> tuple[int, int, int] | None:
    """Return height, width and channels of an input of images, None for another one."""
    shape = spec.shape
    if len(shape) == len("NHW"):
        return shape[1], shape[2], 1
    if len(shape) != len("NHWC"):
        return None
    height, width, channels = (shape[2], shape[3], shape[1]) if _is_planar(model, spec) else shape[1:]
    return (height, width, channels) if channels in (1, CHANNELS) else None
