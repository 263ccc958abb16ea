"""Each operator of TensorFlow Lite, imported, computes what LiteRT computes: alone, and behind a convolution that moved the channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from compiler.importers.tflite import import_tflite
from compiler.importers.tflite.operators import OPERATORS
from tests.compiler.flat_models import Flat, lite_answers

Array = npt.NDArray[Any]
SAME, VALID = 0, 1
IMAGE = (1, 6, 5, 4)
RANDOM = np.random.default_rng(7)
positive: Callable[[Array], Array] = lambda x: np.abs(x) + np.float32(0.1)  # noqa: E731 - a parameter of cases


def floats(*shape: int) -> Array:
    return RANDOM.normal(size=shape).astype(np.float32)


def whole(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


@dataclass(frozen=True)
class Case:
    """An operator on one computed input; `before` and `after` are constants around it, `shapes` those of its results."""

    name: str
    shapes: Sequence[tuple[int, ...]]
    options: str = ""
    after: Sequence[Array] = ()
    before: Sequence[Array] = ()
    source: tuple[int, ...] = IMAGE
    fields: dict[str, Any] = field(default_factory=dict)
    result: str = "float32"
    prepare: Callable[[Array], Array] = lambda x: x
    twice: bool = False


def pool(name: str, shape: tuple[int, ...], **fields: Any) -> Case:
    return Case(name, [shape], "Pool2DOptions", fields={"filterHeight": 3, "filterWidth": 2, "strideH": 2, "strideW": 1, **fields})


def conv(shape: tuple[int, ...], weights: tuple[int, ...], **fields: Any) -> Case:
    window = {"strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, **fields}
    return Case("CONV_2D", [shape], "Conv2DOptions", [floats(*weights), floats(weights[0])], fields=window)


def depthwise(shape: tuple[int, ...], weights: tuple[int, ...], **fields: Any) -> Case:
    window = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "depthMultiplier": weights[3] // 4, **fields}
    return Case("DEPTHWISE_CONV_2D", [shape], "DepthwiseConv2DOptions", [floats(*weights), floats(weights[3])], fields=window)


def reduction(name: str, shape: tuple[int, ...], *axes: int, keep: bool) -> Case:
    return Case(name, [shape], "ReducerOptions", [whole(*axes)], fields={"keepDims": keep})


def strided(shape: tuple[int, ...], begins: list[int], ends: list[int], strides: list[int], **masks: int) -> Case:
    return Case("STRIDED_SLICE", [shape], "StridedSliceOptions", [whole(*begins), whole(*ends), whole(*strides)], fields=masks)


def unary(name: str, options: str = "", prepare: Callable[[Array], Array] = lambda x: x, **fields: Any) -> Case:
    return Case(name, [IMAGE], options, prepare=prepare, fields=fields)


def resize(name: str, options: str, height: int, width: int, **fields: Any) -> Case:
    return Case(name, [(1, height, width, 4)], options, [whole(height, width)], fields=fields)


CASES = [
    conv((1, 3, 5, 7), (7, 3, 3, 4), padding=SAME),
    conv((1, 2, 3, 7), (7, 3, 3, 4), padding=VALID, fusedActivationFunction=1),
    conv((1, 3, 5, 8), (8, 2, 2, 4), padding=SAME, fusedActivationFunction=3),
    conv((1, 3, 5, 6), (6, 2, 3, 2), padding=SAME),  # two groups
    conv((1, 6, 5, 3), (3, 3, 3, 4), padding=SAME, strideH=1, dilationHFactor=2, dilationWFactor=2),
    depthwise((1, 6, 5, 4), (1, 3, 3, 4), padding=SAME),
    depthwise((1, 3, 3, 8), (1, 3, 3, 8), padding=SAME, strideH=2, strideW=2, fusedActivationFunction=2),
    depthwise((1, 4, 3, 4), (1, 3, 3, 4), padding=VALID, dilationHFactor=1),
    pool("AVERAGE_POOL_2D", (1, 3, 5, 4), padding=SAME),
    pool("AVERAGE_POOL_2D", (1, 2, 4, 4), padding=VALID, fusedActivationFunction=3),
    pool("MAX_POOL_2D", (1, 3, 5, 4), padding=SAME),
    pool("MAX_POOL_2D", (1, 2, 4, 4), padding=VALID),
    Case("FULLY_CONNECTED", [(1, 3)], "FullyConnectedOptions", [floats(3, 20), floats(3)], source=(1, 20)),
    Case("FULLY_CONNECTED", [(1, 3)], "FullyConnectedOptions", [floats(3, 120)], fields={"fusedActivationFunction": 1}),
    Case("FULLY_CONNECTED", [(1, 6, 5, 3)], "FullyConnectedOptions", [floats(3, 4), floats(3)], fields={"keepNumDims": True}),
    Case("FULLY_CONNECTED", [(1, 7, 3)], "FullyConnectedOptions", [floats(3, 5)], source=(1, 7, 5), fields={"keepNumDims": True}),
    *(Case(name, [IMAGE], f"{name.title()}Options", [floats(*shape)])
      for name in ("ADD", "SUB", "MUL") for shape in [(4,), (1, 1, 1, 4), (1,)]),
    Case("DIV", [IMAGE], "DivOptions", [positive(floats(5, 4))]),
    Case("ADD", [IMAGE], "AddOptions", [floats(6, 5, 4)], fields={"fusedActivationFunction": 1}),
    Case("ADD", [IMAGE], "AddOptions", twice=True),
    Case("MUL", [IMAGE], "MulOptions", [floats(*IMAGE)], fields={"fusedActivationFunction": 3}),
    Case("MAXIMUM", [IMAGE], "MaximumMinimumOptions", [floats(4)]),
    Case("MINIMUM", [IMAGE], "MaximumMinimumOptions", [floats(1, 6, 1, 1)]),
    Case("SQUARED_DIFFERENCE", [IMAGE], "SquaredDifferenceOptions", [floats(4)]),
    Case("POW", [IMAGE], "PowOptions", [np.full((1,), 2, np.float32)], prepare=positive),
    Case("PRELU", [IMAGE], "", [floats(1, 1, 4)]),
    unary("ABS", "AbsOptions"), unary("CEIL"), unary("COS", "CosOptions"), unary("ELU"), unary("EXP", "ExpOptions"), unary("FLOOR"),
    unary("HARD_SWISH", "HardSwishOptions"), unary("LEAKY_RELU", "LeakyReluOptions", alpha=0.3), unary("LOG", prepare=positive),
    unary("LOGISTIC"), unary("LOG_SOFTMAX", "LogSoftmaxOptions"), unary("NEG", "NegOptions"), unary("RELU"), unary("RELU6"),
    unary("RELU_N1_TO_1"), unary("ROUND"), unary("RSQRT", prepare=positive), unary("SIN"), unary("SQRT", prepare=positive),
    unary("SQUARE", "SquareOptions"), unary("TANH"),
    unary("SOFTMAX", "SoftmaxOptions", beta=1.0), unary("SOFTMAX", "SoftmaxOptions", beta=0.5),
    unary("GELU", "GeluOptions"), unary("GELU", "GeluOptions", approximate=True), unary("L2_NORMALIZATION", "L2NormOptions"),
    reduction("MEAN", (1, 4), 1, 2, keep=False), reduction("MEAN", (1, 1, 1, 4), 1, 2, keep=True),
    reduction("MEAN", (1, 6, 5, 1), -1, keep=True), reduction("MEAN", (1, 5, 4), 1, keep=False),
    reduction("SUM", (1, 6, 1, 4), 2, keep=True), reduction("SUM", (1, 4), 1, 2, keep=False),
    reduction("REDUCE_MAX", (1, 1, 1, 4), 1, 2, keep=True), reduction("REDUCE_MIN", (1, 6, 5), 3, keep=False),
    reduction("REDUCE_PROD", (1, 5, 4), 1, keep=False),
    Case("RESHAPE", [(1, 30, 4)], "ReshapeOptions", [whole(1, 30, 4)], fields={"newShape": [1, 30, 4]}),
    Case("RESHAPE", [(1, 6)], "ReshapeOptions", [whole(1, 6)], source=(1, 1, 1, 6), fields={"newShape": [1, 6]}),
    Case("SQUEEZE", [(6, 5)], "SqueezeOptions", source=(1, 6, 5, 1), fields={"squeezeDims": [0, 3]}),
    Case("EXPAND_DIMS", [(1, 3, 1, 4)], "ExpandDimsOptions", [whole(2)], source=(1, 3, 4)),
    Case("TRANSPOSE", [(1, 4, 6, 5)], "TransposeOptions", [whole(0, 3, 1, 2)]),
    Case("CONCATENATION", [(1, 6, 5, 7)], "ConcatenationOptions", [floats(1, 6, 5, 3)], fields={"axis": 3}),
    Case("CONCATENATION", [(1, 8, 5, 4)], "ConcatenationOptions", before=[floats(1, 2, 5, 4)], fields={"axis": -3}),
    Case("SPLIT", [(1, 6, 5, 2)] * 2, "SplitOptions", before=[np.array(3, np.int32)], fields={"numSplits": 2}),
    Case("SPLIT_V", [(1, 2, 5, 4), (1, 4, 5, 4)], "SplitVOptions", [whole(2, 4), np.array(1, np.int32)], fields={"numSplits": 2}),
    Case("PACK", [(2, 1, 5)], "PackOptions", [floats(1, 5)], source=(1, 5), fields={"valuesCount": 2}),
    Case("UNPACK", [(1, 5, 4)] * 6, "UnpackOptions", fields={"axis": 1, "num": 6}),
    Case("SLICE", [(1, 2, 5, 3)], "SliceOptions", [whole(0, 1, 0, 1), whole(1, 2, -1, 3)]),
    strided((1, 3, 5, 4), [0, 0, 0, 0], [1, 6, 5, 4], [1, 2, 1, 1]),
    strided((1, 4, 5, 4), [0, 1, 0, 0], [0, -1, 0, 0], [1, 1, 1, 1], beginMask=0b1101, endMask=0b1101),
    strided((1, 6, 4), [0, 0, 2, 0], [1, 6, 3, 4], [1, 1, 1, 1], shrinkAxisMask=0b0100),
    strided((1, 6, 5, 4), [0, -1, 0, 0], [1, -7, 5, 4], [1, -1, 1, 1]),
    strided((1, 6, 5), [0, 0, 0, -1], [1, 6, 5, 0], [1, 1, 1, 1], shrinkAxisMask=0b1000),
    Case("GATHER", [(1, 6, 5, 2)], "GatherOptions", [whole(3, 1)], fields={"axis": 3}),
    Case("TILE", [(1, 12, 5, 12)], "TileOptions", [whole(1, 2, 1, 3)]),
    Case("BROADCAST_TO", [(1, 6, 5, 4)], "", [whole(1, 6, 5, 4)], source=(1, 1, 5, 1)),
    Case("PAD", [(1, 9, 6, 6)], "PadOptions", [np.array([[0, 0], [1, 2], [0, 1], [2, 0]], np.int32)]),
    Case("PADV2", [(1, 9, 6, 4)], "PadV2Options", [np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32), np.full((1,), -3, np.float32)]),
    Case("MIRROR_PAD", [(1, 9, 6, 4)], "MirrorPadOptions", [np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)], fields={"mode": 0}),
    *(resize("RESIZE_BILINEAR", "ResizeBilinearOptions", *to, **how) for to in [(12, 10), (4, 9)]
      for how in ({}, {"alignCorners": True}, {"halfPixelCenters": True})),
    *(resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", *to, **how) for to in [(12, 10), (4, 9)]
      for how in ({}, {"alignCorners": True}, {"halfPixelCenters": True})),
    Case("DEPTH_TO_SPACE", [(1, 12, 10, 1)], "DepthToSpaceOptions", fields={"blockSize": 2}),
    Case("SPACE_TO_DEPTH", [(1, 3, 2, 16)], "SpaceToDepthOptions", source=(1, 6, 4, 4), fields={"blockSize": 2}),
    Case("BATCH_MATMUL", [(1, 6, 3)], "BatchMatMulOptions", [floats(1, 5, 3)], source=(1, 6, 5)),
    Case("BATCH_MATMUL", [(1, 6, 3)], "BatchMatMulOptions", [floats(1, 3, 5)], source=(1, 6, 5), fields={"adjY": True}),
    Case("ARG_MAX", [(1, 6, 5)], "ArgMaxOptions", [np.array(3, np.int32)], fields={"outputType": 2}, result="int32"),
    Case("CAST", [IMAGE], "CastOptions", fields={"inDataType": 0, "outDataType": 2}, result="int32"),
    *(Case(name, [IMAGE], f"{options}Options", [floats(4)], result="bool") for name, options in [
        ("GREATER", "Greater"), ("GREATER_EQUAL", "GreaterEqual"), ("LESS", "Less"), ("LESS_EQUAL", "LessEqual")]),
    Case("EQUAL", [IMAGE], "EqualOptions", twice=True, result="bool"),
    Case("NOT_EQUAL", [IMAGE], "NotEqualOptions", twice=True, result="bool"),
    Case("SELECT", [(1, 5)], "SelectOptions", [floats(1, 5)], before=[np.array([False])], source=(1, 5)),
    Case("SELECT", [IMAGE], "SelectOptions", [floats(*IMAGE)], before=[floats(*IMAGE) > 0]),
    Case("SELECT_V2", [IMAGE], "SelectV2Options", [floats(4)], before=[floats(5, 4) > 0]),
    Case("ADD_N", [IMAGE], "AddNOptions", [floats(*IMAGE), floats(*IMAGE)]),
    Case("ARG_MIN", [(1, 6, 5)], "ArgMinOptions", [np.array(3, np.int32)], fields={"outputType": 2}, result="int32"),
    Case("CUMSUM", [IMAGE], "CumsumOptions", [np.array(2, np.int32)]),
    Case("CUMSUM", [IMAGE], "CumsumOptions", [np.array(-1, np.int32)], fields={"exclusive": True, "reverse": True}),
    Case("EMBEDDING_LOOKUP", [(3, 4)], before=[whole(0, 0, 0)], source=(1, 4)),
    Case("FLOOR_DIV", [IMAGE], "FloorDivOptions", [positive(floats(4))]),
    Case("FLOOR_MOD", [IMAGE], "FloorModOptions", [positive(floats(4))]),
    Case("GATHER_ND", [(2, 5, 4)], "GatherNdOptions", [whole([0, 3], [0, 1])]),
    Case("LOCAL_RESPONSE_NORMALIZATION", [IMAGE], "LocalResponseNormalizationOptions",
         fields={"radius": 1, "bias": 1.5, "alpha": 0.3, "beta": 0.7}),
    unary("RELU_0_TO_1"), unary("SIGN"),
    Case("REVERSE_V2", [(1, 6, 5)], "ReverseV2Options", [whole(1)], source=(1, 6, 5)),
    Case("TRANSPOSE_CONV", [(1, 12, 10, 3)], "TransposeConvOptions", before=[whole(1, 12, 10, 3), floats(3, 3, 3, 4)],
         fields={"strideH": 2, "strideW": 2, "padding": SAME}),
    Case("TRANSPOSE_CONV", [(1, 13, 11, 3)], "TransposeConvOptions", before=[whole(1, 13, 11, 3), floats(3, 3, 3, 4)],
         fields={"strideH": 2, "strideW": 2, "padding": VALID}),
]  # fmt: skip
# What has no computed input of its own, or is tried on other numbers than floats.
ELSEWHERE = {"DEQUANTIZE", "SHAPE", "FILL", "ZEROS_LIKE", "RANK", "RANGE", "ONE_HOT", "TOPK_V2", "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"}


def written(case: Case, folder: Path, *, behind_conv: bool) -> tuple[Path, tuple[int, ...]]:
    flat = Flat()
    given = flat.value("given", case.source)
    source = given
    if behind_conv:
        source = flat.value("convolved", case.source)
        weights = np.eye(case.source[3], dtype=np.float32).reshape(case.source[3], 1, 1, case.source[3])
        bias = flat.constant(np.zeros(case.source[3], np.float32))
        flat.operate("CONV_2D", [given, flat.constant(weights), bias], [source], "Conv2DOptions", strideH=1, strideW=1, padding=VALID)
    inputs = [*(flat.constant(values) for values in case.before), source, *([source] if case.twice else [])]
    inputs += [flat.constant(values) for values in case.after]
    results = [flat.value(f"result_{place}", shape, case.result) for place, shape in enumerate(case.shapes)]
    flat.operate(case.name, inputs, results, case.options, **case.fields)
    return flat.write(folder / "model.tflite", [given], results), case.source


def onnx_answers(model: onnx.ModelProto, feed: Sequence[Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    return [np.asarray(output) for output in session.run(None, dict(zip(names, feed, strict=True)))]


@pytest.mark.parametrize(
    ("case", "behind_conv"),
    [(case, behind) for case in CASES for behind in (False, True) if not behind or len(case.source) == 4],
    ids=lambda value: value.name if isinstance(value, Case) else ("behind a convolution" if value else "alone"),
)
def test_an_operator_computes_what_litert_computes(case: Case, behind_conv: bool, tmp_path: Path) -> None:
    file, shape = written(case, tmp_path, behind_conv=behind_conv)
    x = case.prepare(np.random.default_rng(3).normal(size=shape).astype(np.float32))
    model = import_tflite(file, {})
    assert [value.name for value in model.graph.output] == [f"result_{place}" for place in range(len(case.shapes))]
    for expected, found in zip(lite_answers(file, [x]), onnx_answers(model, [x]), strict=True):
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        assert np.allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_every_operator_of_the_table_is_tried() -> None:
    assert {case.name for case in CASES} == set(OPERATORS) - ELSEWHERE


def test_between_convolutions_nothing_is_transposed(tmp_path: Path) -> None:
    flat = Flat()
    value = given = flat.value("given", IMAGE)
    for place in range(2):
        weights = [flat.constant(floats(4, 3, 3, 4)), flat.constant(floats(4))]
        convolved, added, bent = (flat.value(f"{name}_{place}", IMAGE) for name in ("convolved", "added", "bent"))
        flat.operate("CONV_2D", [value, *weights], [convolved], "Conv2DOptions", strideH=1, strideW=1, padding=SAME)
        flat.operate("ADD", [convolved, value], [added], "AddOptions")
        flat.operate("HARD_SWISH", [added], [bent], "HardSwishOptions")
        value = bent
    file = flat.write(tmp_path / "model.tflite", [given], [value])
    model = import_tflite(file, {})
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Transpose") == 2  # the input's, and the output's
    x = floats(*IMAGE)
    assert np.allclose(onnx_answers(model, [x])[0], lite_answers(file, [x])[0], atol=1e-4)


def test_weights_stored_as_half_floats_are_widened_and_remarked_on(tmp_path: Path) -> None:
    flat = Flat()
    given, wide, result = flat.value("given", (1, 8)), flat.value("wide", (3, 8)), flat.value("result", (1, 3))
    flat.operate("DEQUANTIZE", [flat.constant(floats(3, 8).astype(np.float16))], [wide], "DequantizeOptions")
    flat.operate("FULLY_CONNECTED", [given, wide], [result], "FullyConnectedOptions")
    file = flat.write(tmp_path / "model.tflite", [given], [result])
    model = import_tflite(file, {})
    x = floats(1, 8)
    assert [node.op_type for node in model.graph.node] == ["Gemm"]
    assert np.allclose(onnx_answers(model, [x])[0], lite_answers(file, [x])[0], atol=1e-4)
    assert "1 of 1 weight tensors are stored as FLOAT16" in model.metadata_props[0].value


def test_a_reshape_by_computed_sizes_is_settled(tmp_path: Path) -> None:
    flat = Flat()
    given, convolved = flat.value("given", IMAGE, free=[0]), flat.value("convolved", IMAGE, free=[0])
    sizes, batch, packed = flat.value("sizes", (4,), "int32"), flat.value("batch", (), "int32"), flat.value("packed", (2,), "int32")
    result = flat.value("result", (1, 120), free=[0])
    weights = [flat.constant(np.eye(4, dtype=np.float32).reshape(4, 1, 1, 4)), flat.constant(np.zeros(4, np.float32))]
    flat.operate("CONV_2D", [given, *weights], [convolved], "Conv2DOptions", strideH=1, strideW=1)
    flat.operate("SHAPE", [convolved], [sizes], "ShapeOptions", outType=2)
    bounds = [flat.constant(whole(n)) for n in (0, 1, 1)]
    flat.operate("STRIDED_SLICE", [sizes, *bounds], [batch], "StridedSliceOptions", shrinkAxisMask=1)
    flat.operate("PACK", [batch, flat.constant(np.array(120, np.int32))], [packed], "PackOptions", valuesCount=2)
    flat.operate("RESHAPE", [convolved, packed], [result], "ReshapeOptions")
    file = flat.write(tmp_path / "model.tflite", [given], [result])
    model = import_tflite(file, {})
    x = floats(*IMAGE)
    assert [node.op_type for node in model.graph.node] == ["Transpose", "Conv", "Transpose", "Reshape"]
    assert np.allclose(onnx_answers(model, [x])[0], lite_answers(file, [x])[0], atol=1e-4)
