"""Each pass keeps what the graph computes, and its promise."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.errors import ModelError
from compiler.graph.index import GraphIndex, attribute
from compiler.graph.normalise import normalise
from compiler.graph.passes.drop_unused import DROP_UNUSED
from compiler.graph.passes.fold_batch_norm import FOLD_BATCH_NORM
from compiler.graph.passes.infer_shapes import INFER_SHAPES
from compiler.graph.passes.lift_constants import LIFT_CONSTANTS
from compiler.graph.passes.name_nodes import MAX_CHARACTERS, NAME_NODES
from compiler.graph.passes.plain_gemm import PLAIN_GEMM
from compiler.graph.passes.port import Pass
from tests.compiler.graphs import Floats, answers, graph, node, noise, operators


def changed(model: onnx.ModelProto, transform: Pass) -> onnx.ModelProto:
    """Apply one pass to a copy, and check that the answers stayed the same."""
    copy = onnx.ModelProto()
    copy.CopyFrom(inferred(model))
    transform(copy, "test")
    shape = GraphIndex(model).shape("x")
    assert shape is not None
    samples = [noise(*shape, seed=seed) for seed in range(3)]
    assert np.allclose(answers(copy, samples), answers(model, samples), rtol=1e-4, atol=1e-4)
    onnx.checker.check_model(copy)
    return copy


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model)


def statistics(channels: int) -> dict[str, Floats]:
    return {
        "scale": noise(channels, seed=1) + 1,
        "bias": noise(channels, seed=2),
        "mean": noise(channels, seed=3),
        "var": noise(channels, seed=4) ** 2 + np.float32(0.1),
    }


NORM = "scale bias mean var"


@pytest.mark.parametrize(
    ("layer", "shape", "constants", "channels"),
    [
        (node("Conv", "x w b", "c", pads=[1, 1, 1, 1]), (1, 3, 5, 5), {"w": noise(4, 3, 3, 3), "b": noise(4)}, 4),
        (node("Conv", "x w", "c", group=3), (1, 3, 5, 5), {"w": noise(3, 1, 3, 3)}, 3),
        (node("ConvTranspose", "x w b", "c", strides=[2, 2]), (1, 3, 4, 4), {"w": noise(3, 4, 3, 3), "b": noise(4)}, 4),
        (node("Gemm", "x w b", "c", transB=1), (1, 6), {"w": noise(4, 6), "b": noise(4)}, 4),
        (node("Gemm", "x w", "c"), (1, 6), {"w": noise(6, 4)}, 4),
    ],
    ids=["conv", "depthwise", "transposed", "dense", "dense-plain"],
)
def test_normalization_folds_into_the_layer_before_it(
    layer: onnx.NodeProto, shape: tuple[int, ...], constants: dict[str, Floats], channels: int
) -> None:
    model = graph([layer, node("BatchNormalization", f"c {NORM}", "y")], shape, {**constants, **statistics(channels)})
    assert operators(changed(model, FOLD_BATCH_NORM)) == [layer.op_type]


def test_a_layer_that_others_read_keeps_its_weights_and_the_normalization_becomes_a_depthwise_convolution() -> None:
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", f"c {NORM}", "n"), node("Add", "c n", "y")]
    folded = changed(graph(nodes, (1, 3, 5, 5), {"w": noise(4, 3, 3, 3), **statistics(4)}), FOLD_BATCH_NORM)
    assert operators(folded) == ["Conv", "Conv", "Add"]
    assert attribute(folded.graph.node[1], "group", 1) == 4


def test_normalization_of_a_vector_becomes_a_product_and_a_sum() -> None:
    model = graph([node("Relu", "x", "r"), node("BatchNormalization", f"r {NORM}", "y")], (1, 6), statistics(6))
    assert operators(changed(model, FOLD_BATCH_NORM)) == ["Relu", "Mul", "Add"]


def test_weights_that_two_layers_share_are_folded_for_one_of_them_alone() -> None:
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", f"c {NORM}", "n"), node("Conv", "x w", "d"), node("Add", "n d", "y")]
    assert operators(changed(graph(nodes, (1, 3, 5, 5), {"w": noise(4, 3, 3, 3), **statistics(4)}), FOLD_BATCH_NORM)) == [
        "Conv",
        "Conv",
        "Add",
    ]


def test_factors_of_a_dense_layer_go_into_its_constants() -> None:
    layer = node("Gemm", "x w b", "y", alpha=0.5, beta=2.0)
    plain = changed(graph([layer], (1, 6), {"w": noise(6, 4), "b": noise(1, 4)}), PLAIN_GEMM)
    assert (attribute(plain.graph.node[0], "alpha", 1.0), attribute(plain.graph.node[0], "beta", 1.0)) == (1.0, 1.0)
    assert GraphIndex(plain).shape(plain.graph.node[0].input[2]) == (4,)


def test_a_single_bias_is_spread_over_the_channels() -> None:
    plain = changed(graph([node("Gemm", "x w b", "y", transB=1)], (1, 6), {"w": noise(4, 6), "b": 0.25}), PLAIN_GEMM)
    assert GraphIndex(plain).shape(plain.graph.node[0].input[2]) == (4,)


@pytest.mark.parametrize(
    "form", [{"value_float": 2.0}, {"value_floats": [1.0, 2.0]}, {"value": helper.make_tensor("t", 1, [2], [3.0, 4.0])}]
)
def test_a_constant_node_becomes_an_initializer(form: dict[str, object]) -> None:
    model = graph([node("Constant", "", "k", **form), node("Mul", "x k", "y")], (1, 2), {})
    lifted = changed(model, LIFT_CONSTANTS)
    assert operators(lifted) == ["Mul"]
    assert "k" in GraphIndex(lifted).constants


def test_a_branch_is_refused_with_its_node_and_a_way_out() -> None:
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2])
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "body", [], [value])
    nodes = [
        node("ReduceMax", "x", "m", keepdims=0),
        node("Cast", "m", "c", to=9),
        node("If", "c", "y", then_branch=body, else_branch=body),
    ]
    with pytest.raises(
        ModelError, match=r"voice.onnx: graph: expected a plain sequence .*, found node y of type If, which decides while it"
    ):
        LIFT_CONSTANTS(graph(nodes, (1, 2), {}), "voice.onnx")


def test_names_are_unique_and_short_and_the_interface_keeps_its_own() -> None:
    long = "layer/" * 20
    nodes = [helper.make_node("Relu", ["x"], [long], name="same"), helper.make_node("Relu", [long], ["y"], name="same")]
    named = inferred(graph(nodes, (1, 2), {}))
    NAME_NODES(named, "test")
    assert np.array_equal(answers(named, [noise(1, 2)]), np.maximum(noise(1, 2), 0))
    names = [found.name for found in named.graph.node]
    assert len(set(names)) == 2
    assert all(len(name) <= MAX_CHARACTERS for found in named.graph.node for name in (found.name, *found.input, *found.output))
    assert (named.graph.input[0].name, named.graph.output[0].name) == ("x", "y")


def test_what_no_output_needs_is_dropped() -> None:
    nodes = [node("Relu", "x", "y"), node("Mul", "x k", "unused")]
    kept = changed(graph(nodes, (1, 2), {"k": 2.0, "other": 3.0}), DROP_UNUSED)
    assert operators(kept) == ["Relu"]
    assert list(kept.graph.initializer) == []


def test_a_shape_that_is_only_known_while_it_runs_is_refused_with_the_tensor() -> None:
    nodes = [node("NonZero", "x", "places"), node("Cast", "places", "y", to=TensorProto.FLOAT)]
    with pytest.raises(ModelError, match=r"expected a static shape for every tensor, found tensor places of node places \(NonZero\)"):
        INFER_SHAPES(graph(nodes, (1, 2), {}), "test")


def test_the_normal_form_keeps_the_answers_and_knows_every_shape() -> None:
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", f"c {NORM}", "n"),
        node("Relu", "n", "r"),
        node("Shape", "r", "size"),
        node("Gather", "size first", "batch"),
        node("Unsqueeze", "batch axes", "rows"),
        node("Concat", "rows rest", "wanted", axis=0),
        node("Reshape", "r wanted", "flat"),
        node("MatMul", "flat dense", "m"),
        node("Add", "m offset", "y"),
    ]
    indices = {"first": np.int64(0), "axes": np.array([0]), "rest": np.array([-1])}
    weights = {"w": noise(4, 3, 3, 3), "dense": noise(64, 5), "offset": noise(5), **statistics(4)}
    model = graph(nodes, (1, 3, 4, 4), {**indices, **weights})
    normal = normalise(model)
    assert operators(normal) == ["Conv", "Relu", "Reshape", "Gemm"]
    index = GraphIndex(normal)
    assert all(index.shape(name) for found in normal.graph.node for name in found.output)
    samples = [noise(1, 3, 4, 4, seed=seed) for seed in range(3)]
    assert np.allclose(answers(normal, samples), answers(model, samples), rtol=1e-4, atol=1e-4)
    assert operators(model)[1] == "BatchNormalization"
