"""Operators on numbers that are no floats, on known shapes, and in company compute what LiteRT computes once they are imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from compiler.errors import ModelError
from compiler.importers.tflite import import_tflite
from compiler.inspect.engines import load_engine
from tests.compiler.flat_models import Flat, lite_answers

Array = npt.NDArray[Any]
ROW = (1, 6)
VALID = 1


def floats(*shape: int) -> Array:
    return np.random.default_rng(11).normal(size=shape).astype(np.float32)


def whole(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


def check(file: Path, feed: Array) -> onnx.ModelProto:
    """Import a file; its answers must be LiteRT's."""
    model = import_tflite(file, {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: feed})
    for ours, theirs in zip(found, lite_answers(file, [feed]), strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert np.allclose(ours, theirs, atol=1e-5)
    return model


def test_logic_is_computed(tmp_path: Path) -> None:
    flat = Flat()
    given = flat.value("given", ROW)
    high, low, both, either, result = (flat.value(name, ROW, "bool") for name in ("high", "low", "both", "either", "result"))
    flat.operate("GREATER", [given, flat.constant(np.full(1, -0.5, np.float32))], [high], "GreaterOptions")
    flat.operate("LESS", [given, flat.constant(np.full(1, 0.5, np.float32))], [low], "LessOptions")
    flat.operate("LOGICAL_AND", [high, low], [both], "LogicalAndOptions")
    flat.operate("LOGICAL_OR", [both, high], [either], "LogicalOrOptions")
    flat.operate("LOGICAL_NOT", [either], [result], "LogicalNotOptions")
    check(flat.write(tmp_path / "model.tflite", [given], [result]), floats(*ROW))


@pytest.mark.parametrize("name", ["FLOOR_DIV", "FLOOR_MOD"])
def test_integers_are_divided_downwards(name: str, tmp_path: Path) -> None:
    flat = Flat()
    given, result = flat.value("given", ROW, "int32"), flat.value("result", ROW, "int32")
    options = "FloorDivOptions" if name == "FLOOR_DIV" else "FloorModOptions"
    flat.operate(name, [given, flat.constant(whole(3, -3, 3, -3, 5, 5))], [result], options)
    check(flat.write(tmp_path / "model.tflite", [given], [result]), whole([7, 7, -7, -7, -1, 0]))


def test_what_is_known_of_shapes_is_settled(tmp_path: Path) -> None:
    flat = Flat()
    given, filled, zeros, ranked = (flat.value(name, ROW) for name in ("given", "filled", "zeros", "ranked"))
    rank, wide, steps, sums = flat.value("rank", (), "int32"), flat.value("wide", ()), flat.value("steps", (6,)), flat.value("sums", ROW)
    result = flat.value("result", ROW)
    flat.operate("FILL", [flat.constant(whole(1, 6)), flat.constant(np.array(2, np.float32))], [filled], "FillOptions")
    flat.operate("ZEROS_LIKE", [given], [zeros], "ZerosLikeOptions")
    flat.operate("RANK", [given], [rank], "RankOptions")
    flat.operate("CAST", [rank], [wide], "CastOptions", inDataType=2, outDataType=0)
    bounds = [flat.constant(np.array(value, np.float32)) for value in (1, 4, 0.5)]
    flat.operate("RANGE", bounds, [steps], "RangeOptions")
    flat.operate("ADD_N", [given, filled, zeros], [sums], "AddNOptions")
    flat.operate("MUL", [sums, wide], [ranked], "MulOptions")
    flat.operate("ADD", [ranked, steps], [result], "AddOptions")
    check(flat.write(tmp_path / "model.tflite", [given], [result]), floats(*ROW))


@pytest.mark.parametrize(
    ("shape", "limit", "complaint"),
    [((1 << 25,), 1, r"FILL: expected a result of at most 16777216 numbers, found \[33554432\]"), ((6,), 9, "RANGE: expected 6 steps")],
)
def test_a_constant_that_a_damaged_file_declares_is_refused_before_it_is_made(
    shape: tuple[int, ...], limit: int, complaint: str, tmp_path: Path
) -> None:
    flat = Flat()
    given, filled, steps, result = (
        flat.value("given", (1, 1)),
        flat.value("filled", shape),
        flat.value("steps", (6,)),
        flat.value("result", (1, 6)),
    )
    flat.operate("FILL", [flat.constant(whole(*shape)), flat.constant(np.array(2, np.float32))], [filled], "FillOptions")
    flat.operate("RANGE", [flat.constant(np.array(value, np.float32)) for value in (0, limit, 1)], [steps], "RangeOptions")
    flat.operate("ADD", [given, steps], [result], "AddOptions")
    with pytest.raises(ModelError, match=complaint):
        import_tflite(flat.write(tmp_path / "model.tflite", [given], [result]), {})


def test_the_best_places_are_found_and_marked(tmp_path: Path) -> None:
    flat = Flat()
    given, values, places = flat.value("given", ROW), flat.value("values", (1, 3)), flat.value("places", (1, 3), "int32")
    marked = flat.value("marked", (1, 3, 6))
    ends = [flat.constant(np.array(value, dtype)) for value, dtype in ((6, np.int32), (2, np.float32), (-1, np.float32))]
    flat.operate("TOPK_V2", [given, flat.constant(np.array(3, np.int32))], [values, places], "TopKV2Options")
    flat.operate("ONE_HOT", [places, *ends], [marked], "OneHotOptions", axis=-1)
    check(flat.write(tmp_path / "model.tflite", [given], [values, places, marked]), floats(*ROW))


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_a_convolution_in_pieces_becomes_a_dilated_one(name: str, tmp_path: Path) -> None:
    flat = Flat()
    given, cut = flat.value("given", (1, 8, 9, 3)), flat.value("cut", (6, 6, 4, 3))
    convolved, result = flat.value("convolved", (6, 4, 3, 3)), flat.value("result", (1, 8, 8, 3))
    weights = floats(3, 3, 2, 3) if name == "CONV_2D" else floats(1, 3, 2, 3)
    blocks, pads, crops = (flat.constant(np.array(values, np.int32)) for values in ([2, 3], [[2, 2], [1, 2]], [[0, 0], [0, 1]]))
    flat.operate("SPACE_TO_BATCH_ND", [given, blocks, pads], [cut], "SpaceToBatchNDOptions")
    options = {"padding": VALID, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    flat.operate(
        name,
        [cut, flat.constant(weights), flat.constant(floats(3))],
        [convolved],
        "Conv2DOptions" if name == "CONV_2D" else "DepthwiseConv2DOptions",
        **options,
        **({} if name == "CONV_2D" else {"depthMultiplier": 1}),
    )
    flat.operate("BATCH_TO_SPACE_ND", [convolved, blocks, crops], [result], "BatchToSpaceNDOptions")
    model = check(flat.write(tmp_path / "model.tflite", [given], [result]), floats(1, 8, 9, 3))
    assert not {"SpaceToDepth", "Reshape"} & {node.op_type for node in model.graph.node}


def test_a_sequence_convolved_in_pieces_becomes_a_dilated_one(tmp_path: Path) -> None:
    flat = Flat()
    given, cut, image = flat.value("given", (1, 9, 4)), flat.value("cut", (2, 5, 4)), flat.value("image", (2, 1, 5, 4))
    convolved, flattened, result = (
        flat.value("convolved", (2, 1, 3, 2)),
        flat.value("flattened", (2, 3, 2)),
        flat.value("result", (1, 5, 2)),
    )
    blocks, pads, crops = (flat.constant(np.array(values, np.int32)) for values in ([2], [[0, 1]], [[0, 1]]))
    flat.operate("SPACE_TO_BATCH_ND", [given, blocks, pads], [cut], "SpaceToBatchNDOptions")
    flat.operate("EXPAND_DIMS", [cut, flat.constant(np.array(1, np.int32))], [image], "ExpandDimsOptions")
    weights = [flat.constant(floats(2, 1, 3, 4)), flat.constant(floats(2))]
    options = {"padding": VALID, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    flat.operate("CONV_2D", [image, *weights], [convolved], "Conv2DOptions", **options)
    flat.operate("RESHAPE", [convolved, flat.constant(whole(2, 3, 2))], [flattened], "ReshapeOptions")
    flat.operate("BATCH_TO_SPACE_ND", [flattened, blocks, crops], [result], "BatchToSpaceNDOptions")
    check(flat.write(tmp_path / "model.tflite", [given], [result]), floats(1, 9, 4))


def test_pieces_that_are_no_convolution_are_refused_by_name(tmp_path: Path) -> None:
    flat = Flat()
    given, cut, result = flat.value("given", (1, 4, 4, 1)), flat.value("cut", (4, 2, 2, 1)), flat.value("result", (4, 2, 2, 1))
    blocks, pads = flat.constant(whole(2, 2)), flat.constant(np.zeros((2, 2), np.int32))
    flat.operate("SPACE_TO_BATCH_ND", [given, blocks, pads], [cut], "SpaceToBatchNDOptions")
    flat.operate("RELU", [cut], [result])
    with pytest.raises(ModelError, match=r"operator 0 SPACE_TO_BATCH_ND: expected an operator that has an ONNX form"):
        import_tflite(flat.write(tmp_path / "model.tflite", [given], [result]), {})


def test_weights_that_are_looked_up_before_they_are_widened_are_floats(tmp_path: Path) -> None:
    flat = Flat()
    given, result = flat.value("given", (1, 3), "int32"), flat.value("result", (1, 4))
    table = flat.constant(np.random.default_rng(0).integers(-127, 127, (5, 4)).astype(np.int8), scales=[0.02])
    rows, best = flat.value("rows", (1, 3, 4), "int8", scales=[0.02]), flat.value("best", (1, 4), "int8", scales=[0.02])
    flat.operate("GATHER", [table, given], [rows], "GatherOptions")
    flat.operate("REDUCE_MAX", [rows, flat.constant(whole(1))], [best], "ReducerOptions")
    flat.operate("DEQUANTIZE", [best], [result], "DequantizeOptions")
    check(flat.write(tmp_path / "model.tflite", [given], [result]), whole([4, 0, 2]))


def test_sizes_that_only_running_tells_are_settled(tmp_path: Path) -> None:
    flat = Flat()
    given, sizes, result = (
        flat.value("given", (1, 6), free=[0]),
        flat.value("sizes", (2,), "int32"),
        flat.value("result", (1, 1), free=[0, 1]),
    )
    doubled = flat.value("doubled", (1, 1), free=[0, 1])
    flat.operate("SHAPE", [given], [sizes], "ShapeOptions", outType=2)
    shape = flat.value("shape", (2,), "int32")
    flat.operate("MUL", [sizes, flat.constant(whole(1, 1))], [shape], "MulOptions")
    flat.operate("RESHAPE", [given, shape], [result], "ReshapeOptions")
    flat.operate("ADD", [result, result], [doubled], "AddOptions")
    model = check(flat.write(tmp_path / "model.tflite", [given], [doubled]), floats(*ROW))
    assert [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim] == [1, 6]


def test_inputs_and_outputs_have_the_signatures_names_and_order_wherever_a_file_is_read(tmp_path: Path) -> None:
    flat = Flat()
    first, second = flat.value("serving_default_words:0", ROW), flat.value("serving_default_image:0", (1, 2))
    scores, age = flat.value("StatefulPartitionedCall:1", ROW), flat.value("StatefulPartitionedCall:0", (1, 2))
    flat.operate("RELU", [first], [bent := flat.value("bent", ROW)])
    flat.operate("TANH", [bent], [scores])
    flat.operate("RELU", [second], [age])
    flat.sign({"image": second, "words": first}, {"age": age, "scores": scores})
    file = flat.write(tmp_path / "model.tflite", [first, second], [scores, age])
    model = import_tflite(file, {})
    assert [value.name for value in model.graph.input] == ["image", "words"]
    assert [value.name for value in model.graph.output] == ["age", "scores"]
    engine = load_engine("ai-edge-litert", file, 1, {}, {})
    assert [(plug.name, plug.shape) for plug in engine.inputs] == [("image", (1, 2)), ("words", ROW)]
    assert [plug.name for plug in engine.outputs] == ["age", "scores"]
    feed = {"image": floats(1, 2), "words": floats(*ROW)}
    for theirs, expected in zip(engine.run(feed), (np.maximum(feed["image"], 0), np.tanh(np.maximum(feed["words"], 0))), strict=True):
        assert np.allclose(theirs, expected, atol=1e-6)
