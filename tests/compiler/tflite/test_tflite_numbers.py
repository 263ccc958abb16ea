"""The integers of the file are the plan's, and any plan gives a right file."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compiler.lower.tflite import TfliteForm, UnplannedTensorError, to_tflite
from compiler.quantize.plan import Activation, Plan, Weights
from tests.compiler.tflite.cases import INTEGER, normal
from tests.compiler.tflite.lite import Array, Case, float_tensors, lite_outputs, model_of, operators, parsed, steps_apart
from tests.sim.float_plan import Feed, plan_of


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), name=outputs, **attributes)


def small_network() -> tuple[onnx.ModelProto, list[Feed]]:
    """Return a network with a branch, and samples for it."""
    nodes = [
        node("Conv", "x w b", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", "a", "r"),
        node("Conv", "r d", "e", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=8),
        node("Add", "e r", "s"),
        node("Concat", "s r", "c", axis=1),
        node("MaxPool", "c", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "m", "f"),
        node("Gemm", "f g h", "l", transB=1),
        node("Softmax", "l", "y"),
    ]
    constants = {"w": normal(8, 3, 3, 3), "b": normal(8), "d": normal(8, 1, 3, 3), "g": normal(4, 16 * 9), "h": normal(4)}
    feeds: list[Feed] = [{"x": normal(1, 3, 6, 6, seed=seed)} for seed in range(4)]
    return model_of(nodes, {"x": (1, 3, 6, 6)}, ["y"], constants), feeds


def stored_weights(file: bytes) -> dict[str, tuple[np.ndarray[Any, np.dtype[np.int8]], Any]]:
    """Return by operator the second input's integers and quantization."""
    model = parsed(file)
    graph, found = model.subgraphs[0], {}
    for name, operator in zip(operators(file), graph.operators, strict=True):
        if name in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
            tensor = graph.tensors[operator.inputs[1]]
            data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
            found[name] = (data.reshape(tensor.shape), tensor.quantization)
    return found


def test_weights_are_the_integers_that_every_lowering_ships() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds)
    stored = stored_weights(to_tflite(model, plan, TfliteForm()))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    integers = {name: weights.integers(constants[name]) for name, weights in plan.weights.items()}
    np.testing.assert_array_equal(stored["CONV_2D"][0], integers["w"].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(stored["DEPTHWISE_CONV_2D"][0], integers["d"].transpose(1, 2, 3, 0))
    # The dense layer reads the image as it lies in memory.
    np.testing.assert_array_equal(
        stored["FULLY_CONNECTED"][0].reshape(4, 3, 3, 16), integers["g"].reshape(4, 16, 3, 3).transpose(0, 2, 3, 1)
    )


def test_each_kind_of_weights_has_its_scales_along_its_output_channels() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds)
    stored = stored_weights(to_tflite(model, plan, TfliteForm()))
    axes = {kind: quantization.quantizedDimension for kind, (_, quantization) in stored.items()}
    assert axes == {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
    np.testing.assert_allclose(stored["CONV_2D"][1].scale, plan.weights["w"].scales, rtol=1e-7)


def test_a_scale_that_all_channels_share_is_said_once() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds)
    shared = plan.weights["g"].model_copy(update={"scales": (max(plan.weights["g"].scales),) * 4})
    plan = plan.model_copy(update={"weights": {**plan.weights, "g": shared}})
    file = to_tflite(model, plan, TfliteForm())
    assert len(stored_weights(file)["FULLY_CONNECTED"][1].scale) == 1
    assert max(steps_apart(file, model, plan, feeds).values()) <= 3


def test_inputs_and_outputs_are_int8_with_the_plans_numbers_unless_floats_are_asked_for() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds)
    graph = parsed(to_tflite(model, plan, TfliteForm())).subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    expected = plan.activations["x"].asymmetric()
    assert (float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])) == (expected.scale, expected.zero_point)
    as_float = to_tflite(model, plan, TfliteForm(io="float"))
    assert (operators(as_float)[0], operators(as_float)[-1]) == ("QUANTIZE", "DEQUANTIZE")
    assert sorted(float_tensors(as_float)) == ["x", "y"]


def test_a_tied_plan_needs_no_requantization() -> None:
    model, feeds = small_network()
    file = to_tflite(model, plan_of(model, feeds), TfliteForm())
    assert float_tensors(file) == []
    assert "QUANTIZE" not in operators(file)


def test_a_plan_without_ties_is_requantized_and_still_right() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds, ties=False)
    file = to_tflite(model, plan, TfliteForm())
    assert "QUANTIZE" in operators(file)
    assert float_tensors(file) == []
    assert max(steps_apart(file, model, plan, feeds).values()) <= 5


@pytest.mark.parametrize("case", [case for case in INTEGER if case.shapes[0][-1] > 1], ids=lambda case: case.name)
def test_an_operator_under_a_plan_without_ties_is_off_by_roundings_alone(case: Case) -> None:
    model, feeds = case.model(), case.feeds(2)
    plan = plan_of(model, feeds, ties=False)
    file = to_tflite(model, plan, TfliteForm())
    assert float_tensors(file) == []
    # Once in the input's steps, which may be coarser than the output's, and once in the output's.
    coarsest = max(span.asymmetric().scale for span in plan.activations.values())
    finest = min(plan.activations[value.name].asymmetric().scale for value in model.graph.output)
    assert max(steps_apart(file, model, plan, feeds).values()) <= case.max_steps * (1 + coarsest / finest)


def test_a_node_that_the_plan_keeps_float_is_an_island_between_conversions() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds, precisions={"l": "float"})
    names = operators(to_tflite(model, plan, TfliteForm()))
    place = names.index("FULLY_CONNECTED")
    assert (names[place - 1], names[place + 1]) == ("DEQUANTIZE", "QUANTIZE")


def test_a_node_that_the_plan_gives_16_bits_is_computed_with_them() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds, precisions={"l": "int16"})
    file = to_tflite(model, plan, TfliteForm())
    assert max(steps_apart(file, model, plan, feeds).values()) <= 3
    model_read = parsed(file)
    versions = {code.version for code in model_read.operatorCodes if code.builtinCode == 9}  # FULLY_CONNECTED
    assert versions == {7}


def test_a_bias_too_large_for_its_weights_scale_does_not_overflow() -> None:
    weights = normal(3, 3, 1, 1)
    weights[1] = 1e-9
    model = model_of(
        [node("Conv", "x w b", "y", kernel_shape=[1, 1])],
        {"x": (1, 3, 4, 4)},
        ["y"],
        {"w": weights, "b": np.asarray([0.5, 3.0, -1.0], np.float32)},
    )
    feeds: list[Feed] = [{"x": normal(1, 3, 4, 4)}]
    plan = plan_of(model, feeds)
    assert max(steps_apart(to_tflite(model, plan, TfliteForm()), model, plan, feeds).values()) <= 1.01


def test_a_tensor_that_the_plan_forgot_is_named() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds)
    forgetful = plan.model_copy(update={"activations": {name: span for name, span in plan.activations.items() if name != "s"}})
    with pytest.raises(
        UnplannedTensorError, match=r"tensor s of node s: expected its range in the quantization plan, found none; calibrate"
    ):
        to_tflite(model, forgetful, TfliteForm())


def test_a_constant_that_is_not_weights_needs_no_plan() -> None:
    model = model_of([node("Mul", "x k", "y")], {"x": (1, 3, 4, 4)}, ["y"], {"k": normal(3, 1, 1)})
    span = Activation(low=-3, high=3, calibrator="test")
    file = to_tflite(model, Plan(activations={"x": span, "y": span}, weights={}), TfliteForm())
    assert operators(file) == ["MUL"]


def test_weights_planned_along_another_axis_are_refused() -> None:
    model, feeds = small_network()
    plan = plan_of(model, feeds)
    turned = plan.model_copy(update={"weights": {"w": Weights(axis=1, scales=(1.0, 1.0, 1.0))}})
    with pytest.raises(Exception, match="quantized along axis 1, not 0"):
        to_tflite(model, turned, TfliteForm())


def test_the_same_graph_and_plan_give_the_same_bytes() -> None:
    model, feeds = small_network()
    files = {to_tflite(model, plan_of(model, feeds), TfliteForm()) for _ in range(2)}
    assert len(files) == 1


def test_constants_lie_at_multiples_of_sixteen() -> None:
    model, feeds = small_network()
    file = to_tflite(model, plan_of(model, feeds), TfliteForm("float32"))
    dense = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "d")
    place = file.index(np.ascontiguousarray(dense.transpose(1, 2, 3, 0)).tobytes())
    assert place % 16 == 0


def test_an_output_that_is_also_an_input_or_named_twice_is_a_tensor_of_its_own() -> None:
    model = model_of([node("Identity", "x", "y"), node("Relu", "x", "r"), node("Identity", "r", "z")], {"x": (1, 4)}, ["y", "r", "z"], {})
    feed: dict[str, Array] = {"x": normal(1, 4)}
    found = lite_outputs(to_tflite(model, plan_of(model, [feed]), TfliteForm("float32")), feed)
    np.testing.assert_array_equal(found["y"], feed["x"])
    np.testing.assert_array_equal(found["r"], found["z"])
