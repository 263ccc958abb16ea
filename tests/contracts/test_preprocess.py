"""Preprocessing is one formula, read from one line."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.errors import InvalidDocumentError
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec


def test_samples_are_scaled_then_shifted_then_divided() -> None:
    values = Preprocess.parse("scale=0.00392157,mean=0.1307,std=0.3081").apply(np.array([[0, 255]], np.uint8))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [[-0.42421296, 2.82148654]], rtol=1e-5)


def test_parts_may_be_left_out_and_stand_in_any_order() -> None:
    assert Preprocess.parse("std=1.71027,mean=83") == Preprocess(scale=1.0, mean=83.0, std=1.71027)
    assert Preprocess.parse("") == Preprocess()


def test_the_callers_array_is_not_changed() -> None:
    samples = np.ones((2, 2), np.float32)
    Preprocess(scale=3.0).apply(samples)
    assert (samples == 1).all()


@pytest.mark.parametrize("text", ["scale=two", "gamma=1", "std=0", "std=-1", "mean=nan", "scale=1,scale=2", "scale"])
def test_a_wrong_part_is_named(text: str) -> None:
    with pytest.raises(InvalidDocumentError, match="--preprocess"):
        Preprocess.parse(text)


@pytest.mark.parametrize(
    ("shape", "is_accepted"), [((28, 28), True), ((1, 28, 28, 1), True), ((28, 27), False), ((784,), False), ((2, 28, 28), False)]
)
def test_only_axes_of_length_one_may_differ(shape: tuple[int, ...], is_accepted: bool) -> None:
    assert TensorSpec(name="x", datatype="FP32", shape=(1, 1, 28, 28)).accepts_shape(shape) is is_accepted
