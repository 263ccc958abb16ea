"""What models in the wild hold beside plain layers: each is compiled as the same function, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.errors import ModelError
from compiler.evaluate.runner import Runner
from compiler.evaluate.runtimes import open_shipped
from compiler.graph.interface import interface_of
from compiler.graph.normalise import normalise
from compiler.graph.passes.fold_constants import FOLD_CONSTANTS
from compiler.importers.notes import notes_of
from compiler.importers.onnx import import_onnx
from compiler.importers.upgrade import answers_are_alike
from compiler.lower import lower
from compiler.quantize.calibrate import calibrate
from compiler.targets import load_profile
from tests.compiler.graphs import graph, node, noise, operators

SHAPE = (1, 3, 8, 8)
X = noise(*SHAPE)


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def outputs(model: onnx.ModelProto, **feed: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return list(Runner("test", model.SerializeToString(), {}).infer(feed or {"x": X}).values())


def branch(result: str, operator: str, shape: Sequence[int] | None = SHAPE) -> onnx.GraphProto:
    """Return a branch with a constant of its own and a branch within it."""
    scale = numpy_helper.from_array(np.float32(2), "scale")
    nodes = [helper.make_node(operator, ["x"], ["inner"]), helper.make_node("Mul", ["inner", "scale"], [result])]
    return helper.make_graph(nodes, result, [], [helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)], [scale])


def test_a_branch_that_a_static_shape_decides_is_taken(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes place", "height"),
        node("Equal", "height eight", "is_eight"),
        node("If", "is_eight", "chosen", then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg")),
        node("Add", "chosen one", "y"),
    ]
    constants = {"place": np.asarray(2), "eight": np.asarray(8), "one": np.float32(1)}
    model = normalise(import_onnx(saved(tmp_path, graph(nodes, SHAPE, constants))))
    assert "If" not in operators(model)
    np.testing.assert_allclose(outputs(model)[0], 2 * np.maximum(X, 0) + 1, rtol=1e-6)


def test_both_of_two_branches_with_the_same_inner_names_are_taken(tmp_path: Path) -> None:
    nodes = [
        node("If", "yes", "first", then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg")),
        node("If", "no", "second", then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg")),
        node("Add", "first second", "y"),
    ]
    model = import_onnx(saved(tmp_path, graph(nodes, SHAPE, {"yes": np.asarray(True), "no": np.asarray(False)})))
    np.testing.assert_allclose(outputs(model)[0], 2 * np.maximum(X, 0) - 2 * X, rtol=1e-6)


def test_a_branch_within_a_branch_is_taken_as_well(tmp_path: Path) -> None:
    inner = node("If", "no", "inner", then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg"))
    outer = helper.make_graph([inner], "outer", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, SHAPE)])
    nodes = [node("If", "yes", "y", then_branch=outer, else_branch=branch("c", "Abs"))]
    model = import_onnx(saved(tmp_path, graph(nodes, SHAPE, {"yes": np.asarray(True), "no": np.asarray(False)})))
    np.testing.assert_allclose(outputs(model)[0], -2 * X, rtol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_float_types_become_float32_and_it_is_said(tmp_path: Path, kind: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weights = noise(4, 3, 1, 1)
    model = graph([node("Conv", "x w", "c"), node("Relu", "c", "y")], SHAPE, {})
    model.graph.initializer.append(numpy_helper.from_array(weights.astype(dtype), "w"))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = kind
    found = import_onnx(saved(tmp_path, model))
    expected = np.maximum(np.einsum("oi,bihw->bohw", weights[:, :, 0, 0], X), 0)
    np.testing.assert_allclose(outputs(found)[0], expected, atol=2e-2)
    assert any("became float32" in note for note in notes_of(found))


def test_bfloat16_inside_becomes_float32(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "narrow", to=TensorProto.BFLOAT16),
        node("MatMul", "narrow w", "m"),
        node("Cast", "m", "y", to=TensorProto.FLOAT),
    ]
    model = graph(nodes, (1, 4), {})
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.BFLOAT16, [4, 2], [1, 0, 0, 1, 0, 0, 0, 0]))
    np.testing.assert_allclose(outputs(import_onnx(saved(tmp_path, model)), x=noise(1, 4))[0], noise(1, 4)[:, :2], rtol=1e-6)


def test_constants_that_are_stored_sparsely_are_written_in_full(tmp_path: Path) -> None:
    model = graph([node("MatMul", "x w", "y")], (1, 4), {})
    values, places = noise(3), np.asarray([1, 5, 6])
    sparse = helper.make_sparse_tensor(numpy_helper.from_array(values, "w"), numpy_helper.from_array(places, "places"), [4, 2])
    model.graph.sparse_initializer.append(sparse)
    full = np.zeros(8, np.float32)
    full[places] = values
    found = outputs(import_onnx(saved(tmp_path, model)), x=noise(1, 4))[0]
    np.testing.assert_allclose(found, noise(1, 4) @ full.reshape(4, 2), rtol=1e-5)


def test_an_input_that_nothing_reads_or_of_which_only_the_shape_is_read_is_left_out(tmp_path: Path) -> None:
    nodes = [node("Shape", "z", "sizes"), node("Cast", "sizes", "f", to=TensorProto.FLOAT), node("Add", "x f", "y")]
    model = graph(nodes, (1, 2), {})
    model.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 5]) for name in ("z", "unread"))
    found = import_onnx(saved(tmp_path, model))
    assert [value.name for value in found.graph.input] == ["x"]
    assert notes_of(found) == tuple(f"input {name} is read by nothing and was left out" for name in ("unread", "z"))
    np.testing.assert_allclose(outputs(found, x=noise(1, 2))[0], np.add(noise(1, 2), (1, 5)), rtol=1e-6)


@pytest.mark.parametrize("opset", [7, 8])
def test_an_old_file_is_raised_where_it_then_computes_the_same(tmp_path: Path, opset: int) -> None:
    nodes = [
        node("BatchNormalization", "x s b m v", "n"),
        node("Upsample", "n", "u", scales=[1.0, 1.0, 2.0, 2.0], mode="nearest"),
        node("Relu", "u", "y"),
    ]
    constants: dict[str, Any] = {"s": noise(3), "b": noise(3, seed=1), "m": noise(3, seed=2), "v": np.abs(noise(3, seed=3)) + 0.5}
    model = graph(nodes, SHAPE, constants, opset=opset)
    np.testing.assert_allclose(outputs(import_onnx(saved(tmp_path, model)))[0], outputs(model)[0], rtol=1e-5)


def test_what_became_another_function_is_noticed() -> None:
    before, after = (graph([node(operator, "x", "y")], SHAPE, {}, opset=8) for operator in ("Relu", "Softplus"))
    assert answers_are_alike(before, before)
    assert not answers_are_alike(before, after)


def test_an_output_without_a_shape_and_nodes_of_one_name_are_no_obstacle(tmp_path: Path) -> None:
    model = graph([node("Relu", "x", "r"), node("Neg", "r", "y")], SHAPE, {})
    for made in model.graph.node:
        made.name = "same"
    found = import_onnx(saved(tmp_path, model))
    assert len({made.name for made in found.graph.node}) == 2
    np.testing.assert_array_equal(outputs(found)[0], -np.maximum(X, 0))


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("bhqd,bhkd->bhqk", (1, 2, 3, 4), (1, 2, 5, 4)),
        ("bhwc,bhkc->bhwk", (1, 3, 4, 5), (1, 3, 2, 5)),
        ("bi,bj->bij", (1, 3), (1, 4)),
        ("btc,cd->btd", (1, 3, 4), (4, 5)),
        ("abc,cda->bda", (1, 3, 4), (4, 5, 1)),
        ("nchw,cv->nvhw", (1, 3, 4, 5), (3, 2)),
        ("bcd,bed->bce", (1, 3, 4), (1, 2, 4)),
    ],
)
def test_an_einsum_is_the_matrix_product_that_it_says(tmp_path: Path, equation: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    model = graph([node("Einsum", "x w", "y", equation=equation)], left, {"w": noise(*right, seed=1)})
    found = normalise(import_onnx(saved(tmp_path, model)))
    assert {"Einsum"}.isdisjoint(operators(found))
    np.testing.assert_allclose(
        outputs(found, x=noise(*left))[0], np.einsum(equation, noise(*left), noise(*right, seed=1)), rtol=1e-4, atol=1e-5
    )


def test_a_group_normalization_is_written_out(tmp_path: Path) -> None:
    scale, bias = noise(6, seed=1), noise(6, seed=2)
    model = graph([node("GroupNormalization", "x s b", "y", num_groups=2)], (1, 6, 4, 4), {"s": scale, "b": bias}, opset=21)
    found = normalise(import_onnx(saved(tmp_path, model)))
    x = noise(1, 6, 4, 4)
    groups = x.reshape(1, 2, -1)
    normal = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    expected = normal.reshape(x.shape) * scale.reshape(1, 6, 1, 1) + bias.reshape(1, 6, 1, 1)
    np.testing.assert_allclose(outputs(found, x=x)[0], expected, rtol=1e-4, atol=1e-5)


def test_an_einsum_that_is_no_product_of_two_matrices_stays(tmp_path: Path) -> None:
    model = graph([node("Einsum", "x w", "y", equation="bi,i->b")], (1, 3), {"w": noise(3)})
    assert outputs(normalise(import_onnx(saved(tmp_path, model))), x=noise(1, 3))[0] == pytest.approx(noise(1, 3) @ noise(3), rel=1e-5)


def test_a_large_table_that_repeats_a_small_one_is_not_written_out() -> None:
    nodes = [node("Expand", "one sizes", "e"), node("Mul", "x e", "y")]
    model = graph(nodes, (1, 1), {"one": np.ones(1, np.float32), "sizes": np.asarray([4096, 4096])})
    FOLD_CONSTANTS.apply(model)
    assert operators(model) == ["Expand", "Mul"]


def test_infinite_masks_become_numbers_that_softmax_takes_for_nothing() -> None:
    mask = np.where(np.tril(np.ones((4, 4))) > 0, 0, -np.inf)
    model = normalise(graph([node("Add", "x mask", "m"), node("Softmax", "m", "y")], (1, 4, 4), {"mask": mask}))
    constants = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert all(np.isfinite(values).all() for values in constants)
    assert outputs(model, x=noise(1, 4, 4))[0][0, 0].tolist() == [1, 0, 0, 0]


def test_weights_of_any_size_stay_as_they_are() -> None:
    weights = 1e30 * noise(3, 3, 1, 1)
    model = normalise(graph([node("Conv", "x w", "y")], SHAPE, {"w": weights}))
    assert np.array_equal(numpy_helper.to_array(model.graph.initializer[0]), weights)


@pytest.mark.parametrize("shape", [(8,), (1, 8, 5), (1, 1, 8, 5)])
def test_weights_of_a_matmul_become_a_matrix(shape: tuple[int, ...]) -> None:
    weights = noise(*shape)
    model = normalise(graph([node("MatMul", "x w", "y")], SHAPE, {"w": weights}))
    assert [len(tensor.dims) for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT] == [2]
    np.testing.assert_allclose(outputs(model)[0], X @ weights, rtol=1e-4, atol=1e-5)


def test_what_follows_from_constants_is_computed_once() -> None:
    nodes = [node("Range", "zero many one", "r"), node("Cast", "r", "f", to=TensorProto.FLOAT), node("Mul", "x f", "y")]
    constants = {"zero": np.asarray(0), "many": np.asarray(8), "one": np.asarray(1)}
    model = normalise(graph(nodes, SHAPE, constants))
    assert operators(model) == ["Mul"]
    np.testing.assert_allclose(outputs(model)[0], X * np.arange(8), rtol=1e-6)


def test_a_tensor_whose_size_depends_on_its_values_is_refused_with_its_node() -> None:
    nodes = [node("Greater", "x zero", "g"), node("NonZero", "g", "n"), node("Cast", "n", "y", to=TensorProto.FLOAT)]
    with pytest.raises(ModelError, match=r"tensor n of node n \(NonZero\), whose shape is .*; end the model before it"):
        normalise(graph(nodes, SHAPE, {"zero": np.float32(0)}))


@pytest.mark.parametrize("target", ["rpi5", "rpi5:tflite-int8", "jetson-orin", "jetson-nano"])
def test_a_constant_that_is_an_output_is_handed_out_on_every_target(target: str) -> None:
    model = graph([node("Relu", "x", "y"), node("Add", "x c", "z")], (1, 4), {"c": noise(1, 4)}, outputs="y z")
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 4]))
    normal = normalise(model)
    feeds = [{"x": noise(1, 4, seed=seed)} for seed in range(8)]
    profile, plan = load_profile(target), calibrate(normal, feeds, len(feeds), "minmax").plan
    found = open_shipped(profile, lower(profile, normal, plan), interface_of(normal, Path("model"))).infer(feeds[0])
    np.testing.assert_allclose(found["c"], noise(1, 4), atol=0.02)
    np.testing.assert_allclose(found["z"], feeds[0]["x"] + noise(1, 4), atol=0.04)


def test_random_numbers_are_never_taken_for_constants() -> None:
    model = normalise(graph([node("RandomNormalLike", "x", "n"), node("Add", "x n", "y")], SHAPE, {}))
    assert "RandomNormalLike" in operators(model)
