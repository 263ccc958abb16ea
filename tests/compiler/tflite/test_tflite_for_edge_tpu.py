"""What an Edge TPU lacks is written in operators that it has, and says exactly the same; other devices keep the shorter form."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.edgetpu.oracle import predict
from compiler.importers.tflite.flatbuffer import read_flat
from compiler.lower.tflite import TfliteForm, to_tflite
from tests.compiler.tflite.cases import INTEGER, normal, resize
from tests.compiler.tflite.lite import Case, float_outputs, float_tensors, lite_outputs, operators, steps_apart
from tests.sim.float_plan import plan_of

FOR_EDGE_TPU = TfliteForm("int8", for_edge_tpu=True)
IMAGE = (1, 8, 9, 9)
POOL = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 0]}
# The first of two means is rounded to the steps of its input, which are coarse beside those of a mean of noise.
LARGE = 6.0
REWRITTEN = {
    "HARD_SWISH": Case("hard swish", "HardSwish", (IMAGE,), opset=14, max_steps=2.5),
    "LEAKY_RELU": Case("leaky relu", "LeakyRelu", (IMAGE,), attributes={"alpha": 0.2}, max_steps=1.6),
    "leaky relu above 1": Case("leaky relu above 1", "LeakyRelu", (IMAGE,), attributes={"alpha": 1.5}, max_steps=1.6),
    "leaky relu below 0": Case("leaky relu below 0", "LeakyRelu", (IMAGE,), attributes={"alpha": -0.5}, max_steps=1.6),
    "PADV2": Case("lowest padding", "MaxPool", (IMAGE,), attributes=POOL, max_steps=2.1),
    "lowest padding of positive": Case("lowest padding of positive", "MaxPool", (IMAGE,), attributes=POOL, positive=True),
    "MEAN": Case("large mean", "ReduceMean", ((1, 3, 60, 52),), attributes={"axes": [2, 3], "keepdims": 0}, positive=True, max_steps=LARGE),
    "mean that keeps its axes": Case("mean that keeps", "GlobalAveragePool", ((1, 3, 60, 52),), positive=True, max_steps=LARGE),
    "RESIZE_NEAREST_NEIGHBOR": Case(
        "one pixel nearest", "Resize", ((1, 4, 1, 1),), (None, None, np.asarray([1, 4, 5, 6])), {"mode": "nearest"}
    ),
    "RESIZE_BILINEAR": Case("one pixel linear", "Resize", ((1, 4, 1, 1),), (None, None, np.asarray([1, 4, 5, 6])), {"mode": "linear"}),
    "SPLIT_V": Case("unequal split", "Split", (IMAGE,), (np.asarray([3, 5]),), {"axis": 1}, outputs=2),
    "FULLY_CONNECTED": Case("rows", "MatMul", ((1, 6, 16),), (normal(16, 5),), max_steps=1.6),
}


@pytest.mark.parametrize("kind", REWRITTEN)
def test_a_rewritten_operator_maps_where_the_plain_one_does_not(kind: str) -> None:
    case = REWRITTEN[kind]
    model, feeds = case.model(), case.feeds()
    plan = plan_of(model, feeds)
    plain, file = to_tflite(model, plan, TfliteForm("int8")), to_tflite(model, plan, FOR_EDGE_TPU)
    assert operators(plain) != operators(file)
    assert predict(read_flat(plain, "plain")).count("tpu") < len(operators(plain))
    placed = predict(read_flat(file, "rewritten")).placed
    assert [(one.case.kind, one.alone.reason) for one in placed if one.alone.where != "tpu"] == []
    assert float_tensors(file) == []


@pytest.mark.parametrize("kind", REWRITTEN)
def test_a_rewritten_operator_says_the_same(kind: str) -> None:
    case = REWRITTEN[kind]
    model, feeds = case.model(), case.feeds()
    plan = plan_of(model, feeds)
    assert max(steps_apart(to_tflite(model, plan, FOR_EDGE_TPU), model, plan, feeds).values()) <= case.max_steps
    in_float = to_tflite(model, plan, TfliteForm("float32", for_edge_tpu=True))
    for name, expected in float_outputs(model, feeds[0]).items():
        np.testing.assert_allclose(lite_outputs(in_float, feeds[0])[name], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_what_maps_already_is_written_as_for_any_device() -> None:
    kinds = {"HARD_SWISH", "LEAKY_RELU", "PADV2", "SPLIT_V", "FULLY_CONNECTED", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"}
    same = 0
    for case in INTEGER:
        model, feeds = case.model(), case.feeds(1)
        plan = plan_of(model, feeds)
        plain = to_tflite(model, plan, TfliteForm("int8"))
        if kinds.isdisjoint(operators(plain)):
            assert to_tflite(model, plan, FOR_EDGE_TPU) == plain, case.name
            same += 1
    assert same > 40


def test_a_resize_of_more_than_one_pixel_stays() -> None:
    case = resize("doubled", (16, 16), "nearest", "asymmetric", nearest_mode="floor")
    model, feeds = case.model(), case.feeds(1)
    assert "RESIZE_NEAREST_NEIGHBOR" in operators(to_tflite(model, plan_of(model, feeds), FOR_EDGE_TPU))
