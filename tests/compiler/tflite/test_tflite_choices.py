"""Whole numbers that come in, comparisons, choices and masks: what a transformer or a voice model holds beside its layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

from compiler.graph.normalise import normalise
from compiler.lower.tflite import TfliteForm, UnsupportedOpError, to_tflite
from compiler.quantize.calibrate import calibrate
from tests.compiler.graphs import graph, node, noise
from tests.compiler.tflite.lite import float_outputs, lite_outputs, operators
from tests.sim.float_plan import plan_of

AMONG = TfliteForm("int8", has_islands=True)


def compiled(model: onnx.ModelProto, feeds: list[dict[str, npt.NDArray[np.float32]]], form: TfliteForm = AMONG) -> bytes:
    return to_tflite(model, plan_of(model, feeds), form)


def apart(model: onnx.ModelProto, shape: tuple[int, ...]) -> float:
    """Return how far LiteRT's answer lies from the float model's, relative to the largest."""
    normal = normalise(model)
    feeds = [{"x": noise(*shape, seed=seed)} for seed in range(16)]
    file = compiled(normal, feeds)
    worst = 0.0
    for feed in feeds[:4]:
        expected = float_outputs(normal, feed)["y"]
        worst = max(worst, float(np.abs(lite_outputs(file, feed)["y"] - expected).max() / np.abs(expected).max()))
    return worst


@pytest.mark.parametrize("nothing", [-np.inf, -3.4e38, -1e9, -1e4])
def test_a_masked_softmax_gives_nothing_to_what_is_masked(nothing: float) -> None:
    mask = np.where(np.tril(np.ones((6, 6))) > 0, 0, nothing)
    model = graph([node("Add", "x mask", "m"), node("Softmax", "m", "y")], (1, 6, 6), {"mask": mask})
    assert apart(model, (1, 6, 6)) < 0.02


@pytest.mark.parametrize("nothing", [-np.inf, -1e4])
def test_a_choice_by_a_constant_mask_is_the_same_choice(nothing: float) -> None:
    constants = {"mask": np.tril(np.ones((6, 6))) > 0, "nothing": np.float32(nothing)}
    model = graph([node("Where", "mask x nothing", "m"), node("Softmax", "m", "y")], (1, 6, 6), constants)
    assert apart(model, (1, 6, 6)) < 0.02


def test_integers_alone_refuse_a_mask_that_they_cannot_hold() -> None:
    mask = np.where(np.tril(np.ones((6, 6))) > 0, 0, -1e9)
    model = normalise(graph([node("Add", "x mask", "m"), node("Softmax", "m", "y")], (1, 6, 6), {"mask": mask}))
    with pytest.raises(UnsupportedOpError, match=r"node m \(ADD\): numbers too large to be integers .*; .*also computes in float"):
        compiled(model, [{"x": noise(1, 6, 6)}], TfliteForm("int8"))


def test_a_choice_by_a_constant_mask_between_two_tensors_is_made_in_integers() -> None:
    mask = np.tril(np.ones((6, 5))) > 0
    model = graph([node("Neg", "x", "n"), node("Where", "mask x n", "y")], (1, 6, 5), {"mask": mask})
    assert apart(model, (1, 6, 5)) < 0.02
    assert "DEQUANTIZE" not in operators(compiled(normalise(model), [{"x": noise(1, 6, 5)}], TfliteForm("int8")))


def test_a_choice_that_is_computed_is_made_in_float() -> None:
    nodes = [node("Greater", "x zero", "g"), node("Neg", "x", "n"), node("Not", "g", "l"), node("Where", "l n x", "y")]
    assert apart(graph(nodes, (1, 3, 5), {"zero": np.float32(0)}), (1, 3, 5)) < 0.02


def test_truth_values_that_are_combined_and_counted_are_exact() -> None:
    nodes = [
        node("Less", "x one", "below"),
        node("GreaterOrEqual", "x zero", "above"),
        node("And", "below above", "within"),
        node("Cast", "within", "f", to=TensorProto.FLOAT),
        node("Mul", "f x", "y"),
    ]
    assert apart(graph(nodes, (1, 3, 5), {"zero": np.float32(0), "one": np.float32(1)}), (1, 3, 5)) < 0.04


def table(kind: int) -> onnx.ModelProto:
    """Return a model that looks its whole numbers up, and leaves out those that are 0."""
    nodes = [
        node("Gather", "rows x", "e"),
        node("Unsqueeze", "x last", "u"),
        node("Cast", "u", "c", to=TensorProto.FLOAT),
        node("Clip", "c zero one", "keep"),
        node("Mul", "e keep", "k"),
        node("ReduceMean", "k", "m", axes=[1], keepdims=0),
        node("MatMul", "m w", "y"),
    ]
    constants = {"rows": noise(20, 8), "last": np.asarray([2]), "zero": np.float32(0), "one": np.float32(1), "w": noise(8, 3)}
    model = graph(nodes, (1, 5), constants)
    model.graph.input[0].type.tensor_type.elem_type = kind
    return model


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.INT64, np.int64), (TensorProto.INT32, np.int32)])
def test_whole_numbers_come_in_as_they_are_and_are_looked_up(kind: int, dtype: type) -> None:
    model = normalise(table(kind))
    rows = (np.random.default_rng(seed).integers(0, 20, (1, 5)) for seed in range(16))
    feeds: list[dict[str, Any]] = [{"x": row.astype(dtype)} for row in rows]
    file = to_tflite(model, plan_of(model, feeds), AMONG)
    interpreter = Interpreter(model_content=file)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    assert given["dtype"] == dtype
    for feed in feeds[:4]:
        expected = float_outputs(model, feed)["y"]
        np.testing.assert_allclose(lite_outputs(file, feed)["y"], expected, rtol=0, atol=0.03 * np.abs(expected).max())


def test_numbers_that_are_compared_make_a_row_of_ones_and_zeros() -> None:
    nodes = [
        node("Unsqueeze", "x last", "u"),
        node("Equal", "u each", "same"),
        node("Cast", "same", "f", to=TensorProto.FLOAT),
        node("MatMul", "f w", "y"),
    ]
    model = graph(nodes, (1, 5), {"last": np.asarray([2]), "each": np.arange(7), "w": noise(7, 3)})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    normal = normalise(model)
    feeds: list[dict[str, Any]] = [{"x": np.asarray([[0, 6, 3, 3, 1]])}]
    found = lite_outputs(to_tflite(normal, plan_of(normal, feeds), AMONG), feeds[0])["y"]
    np.testing.assert_allclose(found[0], noise(7, 3)[[0, 6, 3, 3, 1]], atol=0.03)


def test_arithmetic_between_two_float_operators_is_not_rounded() -> None:
    constants = {"eps": np.float32(1e-5), "g": noise(8), "b": noise(8, seed=2), "two": np.float32(2), "w": noise(8, 8)}
    nodes = [
        node("ReduceMean", "x", "mean", axes=[-1]),
        node("Sub", "x mean", "d"),
        node("Pow", "d two", "q"),
        node("ReduceMean", "q", "v", axes=[-1]),
        node("Add", "v eps", "e"),
        node("Sqrt", "e", "s"),
        node("Div", "d s", "n"),
        node("Mul", "n g", "m"),
        node("Add", "m b", "a"),
        node("MatMul", "a w", "y"),
    ]
    model = normalise(graph(nodes, (1, 5, 8), constants))
    kinds = operators(compiled(model, [{"x": noise(1, 5, 8)}]))
    assert (kinds.count("DEQUANTIZE"), kinds.count("QUANTIZE")) == (1, 1)
    assert apart(graph(nodes, (1, 5, 8), constants), (1, 5, 8)) < 0.03


def test_two_layers_that_share_weights_along_different_axes_both_compute_with_them() -> None:
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"], name="h"), helper.make_node("Gemm", ["h", "w"], ["y"], name="y", transB=1)]
    model = normalise(graph(nodes, (1, 6), {"w": noise(6, 6)}))
    assert [numpy_helper.to_array(tensor).shape for tensor in model.graph.initializer] == [(6, 6)]
    feeds = [{"x": noise(1, 6, seed=seed)} for seed in range(16)]
    file = to_tflite(model, calibrate(model, feeds, len(feeds), "minmax").plan, AMONG)
    expected = float_outputs(model, feeds[0])["y"]
    np.testing.assert_allclose(lite_outputs(file, feeds[0])["y"], expected, rtol=0, atol=0.05 * np.abs(expected).max())
