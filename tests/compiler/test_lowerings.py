"""One plan, several graphs: the same integers in all of them, and answers close to the float model's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from compiler.graph.index import GraphIndex
from compiler.graph.normalise import normalise, sealed
from compiler.lower import LOWERINGS
from compiler.lower.ort import simulated, to_s8s8, to_u8s8
from compiler.lower.qdq import weight_integers
from compiler.lower.tensorrt import to_int8, to_int8_fp16
from compiler.lower.tensorrt_rules import lint
from compiler.quantize.calibrate import calibrate, signal_to_noise_db
from compiler.quantize.plan import Plan
from tests.compiler.graphs import answers, graph, node, noise, operators

SHAPE = (1, 4, 8, 8)
SAMPLES = [noise(*SHAPE, seed=seed) for seed in range(24)]
# As the profiles ask: exact sums on every host, and the same graph computed in float.
EXACT = {"session.x64quantprecision": "1"}
IN_FLOAT = {"session.disable_quant_qdq": "1"}
INTEGER: dict[str, Callable[[onnx.ModelProto, Plan], onnx.ModelProto]] = {
    "u8s8": to_u8s8,
    "s8s8": to_s8s8,
    "tensorrt": to_int8,
    "half": to_int8_fp16,
}


def planned(nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> tuple[onnx.ModelProto, Plan]:
    model = normalise(graph(nodes, SHAPE, constants))
    return model, calibrate(model, ({"x": sample} for sample in SAMPLES), len(SAMPLES), "minmax").plan


def residual() -> tuple[onnx.ModelProto, Plan]:
    """Return a network with what most have: convolutions, a skip connection, pools, a join, a dense layer and a softmax."""
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2 b2", "c2", pads=[1, 1, 1, 1], group=8),
        node("Clip", "c2 zero six", "r2"),
        node("Conv", "r2 w3", "c3"),
        node("Add", "c3 r1", "a"),
        node("Relu", "a", "r3"),
        node("MaxPool", "r3", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p w3", "c4"),
        node("Sigmoid", "c4", "s"),
        node("Mul", "c4 s", "m"),
        node("Concat", "p m", "j", axis=1),
        node("GlobalAveragePool", "j", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f w5 b5", "d", transB=1),
        node("Softmax", "d", "y"),
    ]
    weights = {"w1": noise(8, 4, 3, 3), "w2": noise(8, 1, 3, 3), "w3": noise(8, 8, 1, 1), "w5": noise(5, 16), "zero": 0.0, "six": 6.0}
    return planned(nodes, {**weights, "b1": noise(8), "b2": noise(8), "b5": noise(5)})


@pytest.mark.parametrize("name", INTEGER)
def test_the_answers_are_those_of_the_float_model_but_for_rounding(name: str) -> None:
    model, plan = residual()
    found = answers(INTEGER[name](model, plan), SAMPLES, **EXACT)
    assert signal_to_noise_db(answers(model, SAMPLES), found).mean() > 25


@pytest.mark.parametrize("name", ["u8s8", "s8s8"])
def test_integer_kernels_and_the_same_graph_in_float_are_rarely_a_step_apart(name: str) -> None:
    model, plan = residual()
    lowered = INTEGER[name](model, plan)
    assert np.abs(answers(lowered, SAMPLES, **EXACT) - answers(lowered, SAMPLES, **IN_FLOAT)).max() < 0.02


def test_uint8_and_int8_activations_are_the_same_numbers() -> None:
    model, plan = residual()
    assert np.array_equal(answers(to_u8s8(model, plan), SAMPLES, **IN_FLOAT), answers(to_s8s8(model, plan), SAMPLES, **IN_FLOAT))


def test_every_lowering_ships_the_very_same_integer_weights() -> None:
    model, plan = residual()
    constants = GraphIndex(model).constants
    expected = {name: chosen.integers(constants[name]).tobytes() for name, chosen in plan.weights.items()}
    assert set(expected) == {"w1", "w2", "w3", "w5"}
    for lowering in INTEGER.values():
        shipped = weight_integers(onnx.load_from_string(sealed(lowering(model, plan))))
        assert {name: values.tobytes() for name, values in shipped.items()} == expected


def test_no_lowering_changes_the_graph_it_starts_from() -> None:
    model, plan = residual()
    before = model.SerializeToString(deterministic=True)
    for recast in LOWERINGS.values():
        recast.apply(model, plan)
    assert model.SerializeToString(deterministic=True) == before


def test_a_bias_is_a_32_bit_integer_with_the_scale_of_its_products() -> None:
    model, plan = residual()
    constants = GraphIndex(to_s8s8(model, plan)).constants
    scales = plan.activations["x"].asymmetric().scale * np.asarray(plan.weights["w1"].scales)
    assert constants["c1/bias/quantized"].dtype == np.int32
    assert np.allclose(constants["c1/bias/scale"], scales)
    assert np.abs(constants["c1/bias/quantized"] * scales - GraphIndex(model).constants["b1"]).max() <= scales.max()


def test_clamps_that_rounding_does_anyway_are_gone_on_a_cpu() -> None:
    model, plan = residual()
    clamps = {"r1", "r2"}
    assert clamps.isdisjoint(found.name for found in to_u8s8(model, plan).graph.node)
    assert clamps <= {found.name for found in to_int8(model, plan).graph.node}  # TensorRT fuses them itself


def test_a_clamp_inside_the_range_stays() -> None:
    nodes = [node("Conv", "x w", "c"), node("Clip", "c low high", "r"), node("Concat", "r x", "j", axis=1), node("Conv", "j v", "y")]
    constants = {"w": noise(4, 4, 1, 1), "low": -1.0, "high": 1.0, "v": noise(3, 8, 1, 1)}
    model, plan = planned(nodes, constants)
    assert plan.activations["r"].high > 2  # it shares the range of what it is joined with
    lowered = to_u8s8(model, plan)
    assert "Clip" in operators(lowered)
    assert signal_to_noise_db(answers(model, SAMPLES), answers(lowered, SAMPLES, **EXACT)).mean() > 25


def test_the_last_dense_layer_and_what_follows_give_floats() -> None:
    model, plan = residual()
    lowered = to_u8s8(model, plan)
    dense = next(found for found in lowered.graph.node if found.op_type == "Gemm")
    assert [use.node.op_type for use in GraphIndex(lowered).uses[dense.output[0]]] == ["Softmax"]


def test_a_convolution_that_ends_a_model_is_rounded_and_keeps_the_outputs_name() -> None:
    model, plan = planned([node("Conv", "x w", "y")], {"w": noise(4, 4, 1, 1)})
    lowered = to_u8s8(model, plan)
    assert operators(lowered)[-3:] == ["Conv", "QuantizeLinear", "DequantizeLinear"]
    assert lowered.graph.node[-1].output[0] == lowered.graph.output[0].name == "y"


def test_an_operand_may_be_a_constant() -> None:
    nodes = [node("Relu", "x", "r"), node("Mul", "r k", "m"), node("Add", "m o", "a"), node("Relu", "a", "b"), node("Conv", "b w", "y")]
    model, plan = planned(nodes, {"w": noise(4, 4, 1, 1), "k": noise(4, 1, 1), "o": noise(4, 1, 1)})
    assert plan.activations["k"].calibrator == "constant"
    for lowering in INTEGER.values():
        found = answers(lowering(model, plan), SAMPLES, **EXACT)
        assert signal_to_noise_db(answers(model, SAMPLES), found).mean() > 25


def test_a_product_of_two_activations_is_quantized_on_both_sides() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("MatMul", "x t", "m"), node("MatMul", "m w", "y")]
    model, plan = planned(nodes, {"w": noise(8, 3)})
    for name, lowering in INTEGER.items():
        lowered = lowering(model, plan)
        index = GraphIndex(lowered)
        product = next(found for found in lowered.graph.node if found.name == "m")
        assert [index.writers[source].op_type for source in product.input] == ["DequantizeLinear"] * 2, name
        assert signal_to_noise_db(answers(model, SAMPLES), answers(lowered, SAMPLES, **EXACT)).mean() > 25


def test_a_bias_that_is_computed_stays_float() -> None:
    nodes = [node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "f"), node("Relu", "f", "r"), node("Gemm", "f w r", "y")]
    model, plan = planned(nodes, {"w": noise(4, 4)})
    for lowering in INTEGER.values():
        lowered = lowering(model, plan)
        assert next(found for found in lowered.graph.node if found.name == "y").input[2] == "r"
        assert signal_to_noise_db(answers(model, SAMPLES), answers(lowered, SAMPLES, **EXACT)).mean() > 25
    assert lint(to_int8(model, plan)) == []


def test_a_layer_that_the_plan_leaves_float_is_float_everywhere() -> None:
    model, plan = residual()
    plan = plan.model_copy(update={"precisions": {"c3": "float"}})
    for lowering in INTEGER.values():
        layer = next(found for found in lowering(model, plan).graph.node if found.name == "c3")
        assert layer.input[1] == "w3"


def test_weights_for_tensorrt_are_floats_that_round_to_the_plans_integers() -> None:
    model, plan = residual()
    index = GraphIndex(to_int8(model, plan))
    layer = next(found for found in index.model.graph.node if found.name == "c1")
    pair = index.writers[layer.input[1]]
    assert [pair.op_type, index.writers[pair.input[0]].op_type] == ["DequantizeLinear", "QuantizeLinear"]
    assert index.constants[index.writers[pair.input[0]].input[0]].dtype == np.float32


def test_the_skip_connection_is_quantized_and_the_product_beside_it_is_not() -> None:
    model, plan = residual()
    index = GraphIndex(to_int8(model, plan))
    total = next(found for found in index.model.graph.node if found.name == "a")
    assert [index.writers[name].op_type for name in total.input] == ["Conv", "DequantizeLinear"]


def test_a_transformers_stream_of_tokens_is_not_rounded_where_layers_are_added() -> None:
    nodes = [
        node("MatMul", "x w", "m"),
        node("Transpose", "m", "t", perm=[0, 1, 3, 2]),
        node("Add", "x t", "a"),
        node("MatMul", "a w", "n"),
        node("Add", "n a", "y"),
    ]
    model, plan = planned(nodes, {"w": noise(8, 8)})
    index = GraphIndex(to_int8(model, plan))
    sums = [found for found in index.model.graph.node if found.op_type == "Add"]
    assert all(index.writers[name].op_type != "DequantizeLinear" for found in sums for name in found.input if name in index.writers)
    assert lint(index.model) == []


def test_a_stack_of_constant_matrices_has_no_integer_kernel_and_stays_float() -> None:
    model, plan = planned([node("MatMul", "x w", "y")], {"w": noise(4, 8, 3)})
    for lowering in INTEGER.values():
        assert operators(lowering(model, plan)).count("MatMul") == 1
        assert next(found for found in lowering(model, plan).graph.node if found.name == "y").input[1] == "w"
    assert lint(to_int8(model, plan)) == []


def test_the_tensorrt_graph_breaks_no_rule_and_the_others_do() -> None:
    model, plan = residual()
    assert lint(to_int8(model, plan)) == []
    assert lint(to_int8(model, plan), oldest=11) == []
    assert lint(to_int8_fp16(model, plan), oldest=10) == []
    assert {finding.rule for finding in lint(to_int8_fp16(model, plan), oldest=8)} == {"half-scale", "float-weights"}
    assert {finding.rule for finding in lint(to_u8s8(model, plan))} >= {"int8", "symmetric", "float-bias", "float-weights"}


def test_what_is_not_int8_is_half_precision_but_for_inputs_and_outputs() -> None:
    model, plan = residual()
    lowered = onnx.shape_inference.infer_shapes(onnx.load_from_string(LOWERINGS["tensorrt-int8-fp16"].apply(model, plan)), strict_mode=True)
    ends = {value.name for value in (*lowered.graph.input, *lowered.graph.output)}
    wide = {value.name for value in lowered.graph.value_info if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    assert wide <= ends
    assert {value.type.tensor_type.elem_type for value in (*lowered.graph.input, *lowered.graph.output)} == {onnx.TensorProto.FLOAT}
    assert {tensor.data_type for tensor in lowered.graph.initializer} <= {
        *(onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.INT64)
    }
    assert lowered.opset_import[0].version == 19


def test_a_scale_that_half_precision_cannot_hold_becomes_its_smallest_number() -> None:
    weights = noise(4, 4, 1, 1)
    weights[2] *= 1e-9
    model, plan = planned([node("Conv", "x w", "y")], {"w": weights})
    lowered = to_int8_fp16(model, plan)
    assert (GraphIndex(lowered).constants["w/weights/scale"] > 0).all()
    assert lint(lowered, oldest=10) == []


def test_the_simulation_rounds_every_tensor() -> None:
    model, plan = residual()
    index = GraphIndex(simulated(model, plan))
    rounded = {found.input[0].removesuffix("/float") for found in index.model.graph.node if found.op_type == "QuantizeLinear"}
    assert {"x", "c1", "c3", "a", "s", "m", "d", "y"} <= rounded
    found = answers(index.model, SAMPLES, **IN_FLOAT)
    assert np.array_equal(found, np.rint(found * 256) / 256)  # the steps of a softmax


def random_graph(seed: int) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """Return a few random operators in a row, each on one of the tensors before it."""
    random = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Any] = {}
    tensors = ["x"]
    for number in range(8):
        source, other, name = random.choice(tensors), random.choice(tensors), f"t{number}"
        match random.integers(9):
            case 0 | 1:
                constants[f"w{number}"] = noise(4, 4, 3, 3, seed=seed + number) / 4
                constants[f"b{number}"] = noise(4, seed=seed + number) / 4
                nodes.append(node("Conv", f"{source} w{number} b{number}", name, pads=[1, 1, 1, 1]))
            case 2:
                nodes.append(node("Relu", source, name))
            case 3:
                nodes.append(node("Add", f"{source} {other}", name))
            case 4:
                nodes.append(node("Mul", f"{source} {other}", name))
            case 5:
                nodes.append(node("MaxPool", source, name, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
            case 6:
                nodes.append(node("AveragePool", source, name, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
            case 7:
                nodes.append(helper.make_node("Transpose", [source], [name], name=name, perm=[0, 1, 3, 2]))
            case _:
                nodes.append(node(str(random.choice(["Sigmoid", "Tanh", "LeakyRelu"])), source, name))
        tensors.append(name)
    return [*nodes, node("Concat", " ".join(tensors[-3:]), "y", axis=1)], constants


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_answer_alike_in_every_lowering_and_break_no_rule(seed: int) -> None:
    model, plan = planned(*random_graph(seed))
    expected = answers(model, SAMPLES)
    for lowering in INTEGER.values():
        lowered = lowering(model, plan)
        onnx.checker.check_model(sealed(lowered), full_check=True)
        assert signal_to_noise_db(expected, answers(lowered, SAMPLES, **EXACT)).mean() > 15
    assert lint(to_int8(model, plan)) == []
    assert lint(to_int8_fp16(model, plan), oldest=10) == []
    assert signal_to_noise_db(expected, answers(simulated(model, plan), SAMPLES, **IN_FLOAT)).mean() > 15
