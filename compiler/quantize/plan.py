"""The one quantization plan: ranges of activations, integers of weights, precision of layers; every lowering starts from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

INT8_MIN, INT8_MAX = -128, 127
# Weights leave out -128, so that a product of two int8 values never needs more than 15 bits and negation stays in range.
WEIGHT_MAX = 127
# So many weights are worked on in float64 at a time.
BLOCK = 1 << 20
# Below this a scale is taken for zero: TFLite's kernels and XNNPACK reject smaller ones.
MIN_SCALE = 1e-8

Precision = Literal["int8", "int16", "fp16", "float"]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Affine(BaseModel, frozen=True, extra="forbid"):
    """real = (integer - zero_point) * scale, for int8 integers."""

    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    zero_point: Annotated[int, Field(ge=INT8_MIN, le=INT8_MAX)]


class Activation(BaseModel, frozen=True, extra="forbid"):
    """What is known of one float tensor's values; tensors that an operator ties together have equal ranges here."""

    low: Finite
    high: Finite
    calibrator: str

    def asymmetric(self) -> Affine:
        """Return int8 parameters that use all 256 steps; zero is a step of its own, as padding needs it to be.

        TFLite's quantization specification, "int8 asymmetric"; ONNX Runtime's uint8 form adds 128 to the zero point.
        """
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = float(np.float32(max((high - low) / (INT8_MAX - INT8_MIN), MIN_SCALE)))
        return Affine(scale=scale, zero_point=int(np.clip(round(INT8_MIN - low / scale), INT8_MIN, INT8_MAX)))

    def symmetric(self) -> Affine:
        """Return int8 parameters with zero point 0, the only form that TensorRT takes."""
        reach = max(abs(self.low), abs(self.high))
        return Affine(scale=float(np.float32(max(reach / INT8_MAX, MIN_SCALE))), zero_point=0)


class Weights(BaseModel, frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"):
    """How one constant is quantized: symmetric, one scale for each index along `axis`."""

    axis: Annotated[int, Field(ge=0)]
    scales: Annotated[tuple[float, ...], Field(min_length=1)]
    # A bit for each weight in C order, the first in the highest place: 1 where it is rounded up. Without it each goes to the nearest.
    upward: bytes | None = None

    def steps(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Return the weights in steps of their scales, not yet rounded."""
        along = [1] * values.ndim
        along[self.axis] = -1
        return np.asarray(values.astype(np.float64) / np.asarray(self.scales, np.float64).reshape(along), np.float64)

    def integers(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Return the int8 values that every lowering ships; same shape as `values`, which are gone through in blocks."""
        found = np.empty(values.shape, np.int8)
        row = max(1, values[0].size)
        height = max(1, BLOCK // row)
        for first in range(0, len(values), height):
            part = values[first : first + height]
            steps = self._of_rows(first, len(part)).steps(part)
            if self.upward is None:
                np.rint(steps, out=steps)
            else:
                np.floor(steps, out=steps)
                steps += self._upward(first * row, part.size).reshape(part.shape)
            found[first : first + height] = np.clip(steps, -WEIGHT_MAX, WEIGHT_MAX, out=steps)
        return found

    def _of_rows(self, first: int, count: int) -> Weights:
        """Return the weights with the scales of some indexes along the first axis."""
        return self if self.axis else Weights.model_construct(axis=0, scales=self.scales[first : first + count])

    def _upward(self, first: int, count: int) -> npt.NDArray[np.uint8]:
        """Return some of the bits."""
        assert self.upward is not None
        start, stop = first // 8, -(-(first + count) // 8)
        return np.unpackbits(np.frombuffer(self.upward, np.uint8)[start:stop])[first - 8 * start :][:count]


class Plan(BaseModel, frozen=True, extra="forbid"):
    """Everything that quantization decides for one normal-form graph, by the graph's own names."""

    schema_version: Literal[1] = 1
    # Every float activation, the graph's inputs and outputs included, by tensor name.
    activations: dict[str, Activation]
    # Constants of weighted operators (Conv, ConvTranspose, Gemm, MatMul) by initializer name. Biases are not listed: in integer
    # lowerings a bias is int32 with scale input_scale * weight_scale, in TensorRT's it stays float.
    weights: dict[str, Weights]
    # By node name; a node that is not listed is "int8" where the lowering has an integer form of it.
    precisions: dict[str, Precision] = {}


def weights_of(values: npt.NDArray[np.float32], axis: int) -> Weights:
    """Choose symmetric scales by the largest magnitude of each output channel; a channel of zeros gets the scale 1."""
    others = tuple(index for index in range(values.ndim) if index != axis)
    reach = np.abs(values).max(axis=others).astype(np.float64)
    scales = np.where(reach > 0, np.maximum(reach / WEIGHT_MAX, MIN_SCALE), 1.0).astype(np.float32)
    return Weights(axis=axis, scales=tuple(float(scale) for scale in scales))
