"""How integers stand for real values, the same in gate and device."""

from __future__ import annotations

import numpy as np

from contracts.affine import quantized, real


def test_quantizing_rounds_to_even_and_saturates() -> None:
    values = np.array([0.0, 0.25, 0.75, 1000.0, -1000.0, -1.5], np.float32)

    steps = quantized(values, np.dtype(np.int8), 0.5, 3)

    assert steps.dtype == np.int8
    assert steps.tolist() == [3, 4, 4, 127, -128, 0]
    assert real(steps, 0.5, 3).tolist() == [0.0, 0.5, 0.5, 62.0, -65.5, -1.5]


def test_without_a_scale_the_integers_are_the_values() -> None:
    assert quantized(np.array([2.0, 300.0]), np.dtype(np.uint8), 0.0, 0).tolist() == [2, 255]


def test_float_tensors_take_values_as_they_are() -> None:
    assert quantized(np.array([0.3]), np.dtype(np.float32), 0.5, 3).tolist() == [np.float32(0.3)]
