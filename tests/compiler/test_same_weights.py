"""The plan's integers, byte for byte, in every integer file of the published models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from compiler.graph.index import GraphIndex
from compiler.graph.normalise import normalise, sealed
from compiler.lower.ort import to_s8s8, to_u8s8
from compiler.lower.qdq import weight_integers
from compiler.lower.tensorrt import to_int8
from compiler.lower.tflite import TfliteForm, to_tflite
from compiler.quantize.calibrate import calibrate
from compiler.quantize.plan import Plan
from tests.compiler.graphs import graph, node, noise
from tests.compiler.tflite.lite import parsed
from tests.compiler.tflite.published import FILES, published

Integers = npt.NDArray[Any]
ONNX_FORMS: dict[str, Callable[[onnx.ModelProto, Plan], onnx.ModelProto]] = {"s8s8": to_s8s8, "u8s8": to_u8s8, "tensorrt": to_int8}


def planned(model: onnx.ModelProto, plan: Plan) -> dict[str, Integers]:
    constants = GraphIndex(model).constants
    return {name: chosen.integers(constants[name]) for name, chosen in plan.weights.items()}


def layouts(values: Integers) -> Iterator[Integers]:
    """Yield the orders in which TFLite may hold a constant: of a dense layer behind a flattened image also that of its memory."""
    if values.ndim == 4:
        yield from (values.transpose(0, 2, 3, 1), values.transpose(1, 2, 3, 0))
        return
    for rows in (values, values.T):
        outputs, inputs = rows.shape
        yield rows
        for channels in (count for count in range(2, inputs) if inputs % count == 0 and isqrt(inputs // count) ** 2 == inputs // count):
            side = isqrt(inputs // channels)
            yield rows.reshape(outputs, channels, side, side).transpose(0, 2, 3, 1)


def assert_the_same(model: onnx.ModelProto, plan: Plan) -> None:
    expected = planned(model, plan)
    assert expected
    for lowering in ONNX_FORMS.values():
        shipped = weight_integers(onnx.load_from_string(sealed(lowering(model, plan))))
        assert {name: values.tobytes() for name, values in shipped.items()} == {name: values.tobytes() for name, values in expected.items()}
    buffers = {bytes(buffer.data) for buffer in parsed(to_tflite(model, plan, TfliteForm())).buffers if buffer.data is not None}
    for name, values in expected.items():
        assert any(np.ascontiguousarray(each).tobytes() in buffers for each in layouts(values)), name


@pytest.mark.parametrize("name", FILES)
def test_a_published_models_weights_are_the_same_bytes_in_every_integer_form(name: str) -> None:
    found = published(name)
    assert_the_same(found.model, found.plan)


def test_so_are_those_of_channels_that_are_dead_or_nothing_beside_their_bias() -> None:
    weights = noise(8, 4, 3, 3)
    weights[1] *= np.float32(1e-9)
    weights[2] = 0
    weights[3] *= np.float32(1e-4)
    bias = np.array([0.1, 30, 5, 30, 0, 0, 0, 1], np.float32)
    nodes = [node("Conv", "x w b", "c"), node("Relu", "c", "r"), node("Flatten", "r", "f"), node("Gemm", "f d o", "y")]
    dense = noise(8 * 4 * 4, 6)
    dense[:, 2] *= np.float32(1e-8)
    model = normalise(graph(nodes, (1, 4, 6, 6), {"w": weights, "b": bias, "d": dense, "o": noise(6) * np.float32(20)}))
    plan = calibrate(model, ({"x": noise(1, 4, 6, 6, seed=seed)} for seed in range(8)), 8, "minmax").plan
    assert_the_same(model, plan)


def test_a_plan_survives_its_json_with_every_weight() -> None:
    model = normalise(graph([node("Gemm", "x w", "y")], (1, 16), {"w": noise(16, 9)}))
    plan = calibrate(model, ({"x": noise(1, 16, seed=seed)} for seed in range(8)), 8, "minmax").plan
    assert plan.weights["w"].upward is not None
    again = Plan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert np.array_equal(planned(model, again)["w"], planned(model, plan)["w"])
