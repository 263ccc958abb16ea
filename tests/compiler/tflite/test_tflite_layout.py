"""Transposes are only done where nothing else helps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
from onnx import helper

from compiler.lower.tflite import TfliteForm, to_tflite
from tests.compiler.tflite.cases import normal
from tests.compiler.tflite.lite import Array, float_outputs, lite_outputs, model_of, operators, parsed
from tests.sim.float_plan import plan_of


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), name=outputs, **attributes)


def lowered(model: onnx.ModelProto) -> bytes:
    """Return the float file after seeing that it computes the same as the model."""
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    feed: dict[str, Array] = {name: normal(*shape, seed=3) for name, shape in shapes.items()}
    file = to_tflite(model, plan_of(model, [feed]), TfliteForm("float32"))
    found = lite_outputs(file, feed)
    for name, expected in float_outputs(model, feed).items():
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-4)
    return file


def convolution(inputs: str, outputs: str) -> onnx.NodeProto:
    return node("Conv", inputs, outputs, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def test_an_image_of_many_channels_is_transposed_once_and_its_features_never() -> None:
    nodes = [convolution("x w", "a"), node("Relu", "a", "b"), convolution("b v", "c"), node("Flatten", "c", "d"), node("Gemm", "d g", "y")]
    constants = {"w": normal(4, 3, 3, 3), "v": normal(5, 4, 3, 3), "g": normal(5 * 6 * 7, 2)}
    file = lowered(model_of(nodes, {"x": (1, 3, 6, 7)}, ["y"], constants))
    assert operators(file) == ["TRANSPOSE", "CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"]


def test_the_file_takes_the_shape_that_the_model_declares() -> None:
    model = model_of([convolution("x w", "y")], {"x": (1, 3, 6, 7)}, ["y"], {"w": normal(4, 3, 3, 3)})
    graph = parsed(lowered(model)).subgraphs[0]
    assert list(graph.tensors[graph.inputs[0]].shape) == [1, 3, 6, 7]
    assert list(graph.tensors[graph.outputs[0]].shape) == [1, 4, 6, 7]


def test_an_image_of_one_channel_is_not_transposed() -> None:
    model = model_of([convolution("x w", "a"), node("GlobalAveragePool", "a", "y")], {"x": (1, 1, 6, 7)}, ["y"], {"w": normal(4, 1, 3, 3)})
    assert operators(lowered(model)) == ["RESHAPE", "CONV_2D", "MEAN", "RESHAPE"]


def test_the_transpose_that_an_exporter_put_before_the_first_convolution_vanishes() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), convolution("t w", "a"), node("Transpose", "a", "y", perm=[0, 2, 3, 1])]
    file = lowered(model_of(nodes, {"x": (1, 6, 7, 3)}, ["y"], {"w": normal(4, 3, 3, 3)}))
    assert operators(file) == ["CONV_2D"]


def test_a_channel_shuffle_needs_no_transpose() -> None:
    nodes = [
        convolution("x w", "a"),
        node("Reshape", "a s", "b"),
        node("Transpose", "b", "c", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "c t", "d"),
        convolution("d v", "e"),
        node("GlobalAveragePool", "e", "y"),
    ]
    constants = {"w": normal(8, 1, 3, 3), "s": np.asarray([1, 2, 4, 6, 7]), "t": np.asarray([1, 8, 6, 7]), "v": normal(3, 8, 3, 3)}
    counted = Counter(operators(lowered(model_of(nodes, {"x": (1, 1, 6, 7)}, ["y"], constants))))
    # The shuffle itself moves elements, but four axes are enough and no image goes back to NCHW.
    assert counted["TRANSPOSE"] == 1


def test_a_flattened_image_that_no_dense_layer_reads_is_put_in_onnx_order() -> None:
    nodes = [convolution("x w", "a"), node("Flatten", "a", "f"), node("Relu", "f", "y"), node("Gemm", "y g", "z")]
    file = lowered(model_of(nodes, {"x": (1, 1, 6, 7)}, ["y", "z"], {"w": normal(3, 1, 3, 3), "g": normal(126, 2)}))
    assert Counter(operators(file))["TRANSPOSE"] == 1


def test_operands_that_lie_differently_are_brought_together_by_one_transpose() -> None:
    nodes = [convolution("x w", "a"), node("Add", "a x", "b"), node("Mul", "b x", "c"), node("GlobalAveragePool", "c", "y")]
    file = lowered(model_of(nodes, {"x": (1, 3, 6, 7)}, ["y"], {"w": normal(3, 3, 3, 3)}))
    assert Counter(operators(file))["TRANSPOSE"] == 1


def test_a_reduction_without_its_axes_knows_where_the_others_lie() -> None:
    nodes = [convolution("x w", "a"), node("ReduceMean", "a", "b", axes=[2], keepdims=0), node("Mul", "b k", "y")]
    lowered(model_of(nodes, {"x": (1, 3, 6, 7)}, ["y"], {"w": normal(4, 3, 3, 3), "k": normal(4, 7)}))


def test_a_vector_is_broadcast_along_the_axis_that_onnx_means() -> None:
    nodes = [convolution("x w", "a"), node("Add", "a k", "b"), node("Mul", "b v", "y")]
    lowered(model_of(nodes, {"x": (1, 3, 6, 7), "v": (6, 1)}, ["y"], {"w": normal(4, 3, 3, 3), "k": normal(7)}))


def test_attention_keeps_its_order_of_axes() -> None:
    nodes = [
        node("Reshape", "x s", "h"),
        node("Transpose", "h", "q", perm=[0, 2, 1, 3]),
        node("Transpose", "h", "k", perm=[0, 2, 3, 1]),
        node("MatMul", "q k", "scores"),
        node("Softmax", "scores", "weights", axis=-1),
        node("MatMul", "weights q", "mixed"),
        node("Transpose", "mixed", "m", perm=[0, 2, 1, 3]),
        node("Reshape", "m u", "joined"),
        node("MatMul", "joined w", "dense"),
        node("Add", "dense b", "y"),
    ]
    constants = {"s": np.asarray([1, 5, 2, 4]), "u": np.asarray([1, 5, 8]), "w": normal(8, 6), "b": normal(6)}
    file = lowered(model_of(nodes, {"x": (1, 5, 8)}, ["y"], constants))
    assert operators(file)[-2:] == ["FULLY_CONNECTED", "RESHAPE"]  # the addend became its bias


def test_a_convolution_of_rows_takes_over_its_activation_and_needs_one_reshape_at_each_end() -> None:
    nodes = [
        node("Conv", "x w", "a", kernel_shape=[3]),
        node("Relu", "a", "b"),
        node("Conv", "b v", "c", kernel_shape=[3]),
        node("Relu", "c", "y"),
    ]
    file = lowered(model_of(nodes, {"x": (1, 2, 20)}, ["y"], {"w": normal(4, 2, 3), "v": normal(4, 4, 3)}))
    assert operators(file) == ["TRANSPOSE", "RESHAPE", "CONV_2D", "CONV_2D", "RESHAPE", "TRANSPOSE"]
