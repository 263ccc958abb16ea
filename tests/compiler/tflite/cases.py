"""The operators that are lowered, each in the variants that take a path of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tests.compiler.tflite.lite import Case

IMAGE = (1, 6, 9, 8)
SQUARE = (1, 3, 8, 8)


def normal(*shape: int, seed: int = 7) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def conv(
    name: str, shape: tuple[int, ...], kernel: tuple[int, ...], *, bias: bool = True, op_type: str = "Conv", **attributes: Any
) -> Case:
    outputs = kernel[0] if op_type == "Conv" else kernel[1] * attributes.get("group", 1)
    constants = (normal(*kernel), normal(outputs, seed=8)) if bias else (normal(*kernel),)
    return Case(name, op_type, (shape,), constants, {"kernel_shape": list(kernel[2:]), **attributes})


def resize(name: str, to: tuple[int, int], mode: str, coordinates: str, **attributes: Any) -> Case:
    sizes = np.asarray([1, 3, *to])
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, **attributes}
    return Case(name, "Resize", (SQUARE,), (None, None, sizes), attributes)


CONVOLUTIONS = [
    conv("conv valid", IMAGE, (5, 6, 3, 3)),
    conv("conv same", IMAGE, (5, 6, 3, 3), pads=[1, 1, 1, 1]),
    conv("conv same with stride", (1, 6, 8, 8), (5, 6, 3, 3), pads=[0, 0, 1, 1], strides=[2, 2]),
    conv("conv with pads of its own", (1, 6, 8, 8), (5, 6, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2]),
    conv("conv dilated", IMAGE, (5, 6, 3, 3), pads=[2, 2, 2, 2], dilations=[2, 2]),
    conv("conv of one element without bias", IMAGE, (5, 6, 1, 1), bias=False),
    conv("conv same lower", (1, 6, 8, 8), (5, 6, 3, 3), auto_pad="SAME_LOWER", strides=[2, 2]),
    conv("conv same upper", (1, 6, 8, 8), (5, 6, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    conv("conv of a row", (1, 6, 20), (5, 6, 5), pads=[2, 2], strides=[2]),
    conv("depthwise", IMAGE, (6, 1, 3, 3), group=6, pads=[1, 1, 1, 1]),
    conv("depthwise of a row", (1, 6, 20), (6, 1, 3), group=6, pads=[1, 1]),
    conv("depthwise with multiplier", IMAGE, (12, 1, 3, 3), group=6),
    conv("depthwise dilated", IMAGE, (6, 1, 3, 3), group=6, pads=[2, 2, 2, 2], dilations=[2, 2]),
    conv("grouped", IMAGE, (4, 3, 3, 3), group=2, pads=[1, 1, 1, 1]),
    conv("transposed", SQUARE, (3, 5, 2, 2), op_type="ConvTranspose", strides=[2, 2]),
    conv("transposed same", SQUARE, (3, 5, 3, 3), op_type="ConvTranspose", strides=[2, 2], pads=[0, 0, 1, 1]),
    conv("transposed cut", SQUARE, (3, 5, 4, 4), op_type="ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1]),
    conv(
        "transposed with more at the end",
        SQUARE,
        (3, 5, 3, 3),
        op_type="ConvTranspose",
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        output_padding=[1, 1],
    ),
    conv("transposed grouped", IMAGE, (6, 2, 3, 3), op_type="ConvTranspose", strides=[2, 2], group=3),
    conv("transposed to a shape", SQUARE, (3, 5, 3, 3), op_type="ConvTranspose", strides=[2, 2], output_shape=[16, 16]),
]

DENSE = [
    Case("gemm", "Gemm", ((1, 12),), (normal(12, 5), normal(5))),
    Case("gemm transposed", "Gemm", ((3, 12),), (normal(5, 12), normal(5)), {"transB": 1}),
    Case("gemm of a transposed matrix", "Gemm", ((12, 3),), (normal(12, 5),), {"transA": 1}),
    Case("gemm with factors", "Gemm", ((1, 12),), (normal(12, 5), normal(5)), {"alpha": 0.5, "beta": 2.0}),
    Case("matmul", "MatMul", ((1, 12),), (normal(12, 5),)),
    Case("matmul of rank 3", "MatMul", ((1, 7, 12),), (normal(12, 5),)),
    Case("matmul of rank 4", "MatMul", ((1, 2, 7, 12),), (normal(12, 5),)),
    Case("matmul of two ranks", "MatMul", ((1, 2, 7, 12), (12, 5))),
    Case("matmul of two inputs", "MatMul", ((1, 2, 7, 12), (1, 2, 12, 5))),
]

ARITHMETIC = [
    Case("add", "Add", (IMAGE, IMAGE)),
    Case("add with a number for each channel", "Add", (IMAGE, (1, 6, 1, 1))),
    Case("add a constant", "Add", (IMAGE,), (normal(6, 1, 1),)),
    Case("add a number", "Add", (IMAGE,), (np.float32(0.7),)),
    Case("sub", "Sub", (IMAGE, IMAGE)),
    Case("sub a constant", "Sub", (IMAGE,), (normal(1, 6, 1, 1),)),
    Case("mul", "Mul", (IMAGE, IMAGE)),
    Case("mul with a number for each channel", "Mul", (IMAGE, (1, 6, 1, 1))),
    Case("mul of ranks 4 and 1", "Mul", (IMAGE, (8,))),
    Case("mul by a negative number", "Mul", (IMAGE,), (np.float32(-0.3),)),
    Case("div by a constant", "Div", (IMAGE,), (np.abs(normal(6, 1, 1)) + 1,)),
    Case("max", "Max", (IMAGE, IMAGE)),
    Case("min with a constant", "Min", (IMAGE,), (np.float32(0.2),)),
    Case("max of three", "Max", (IMAGE, IMAGE, IMAGE)),
    Case("neg", "Neg", (IMAGE,)),
    Case("square", "Pow", (IMAGE,), (np.float32(2),)),
    Case("sum of two", "Sum", (IMAGE, IMAGE)),
    Case("sum of three", "Sum", (IMAGE, IMAGE, IMAGE), max_steps=1.6),  # rounded once on the way
    Case("batch normalization", "BatchNormalization", (IMAGE,), (normal(6), normal(6, seed=2), normal(6, seed=3), np.abs(normal(6)) + 0.5)),
    Case("batch normalization of a matrix", "BatchNormalization", ((1, 6),), (normal(6), normal(6), normal(6), np.abs(normal(6)) + 0.5)),
]

REDUCTIONS = [
    Case("mean of an image", "ReduceMean", (IMAGE,), (), {"axes": [2, 3], "keepdims": 1}),
    Case("mean without its axes", "ReduceMean", (IMAGE,), (), {"axes": [2, 3], "keepdims": 0}),
    Case("mean of channels", "ReduceMean", (IMAGE,), (), {"axes": [1]}),
    Case("mean with axes as an input", "ReduceMean", (IMAGE,), (np.asarray([-1]),), {"keepdims": 0}, opset=18),
    Case("greatest", "ReduceMax", (IMAGE,), (), {"axes": [-1], "keepdims": 0}),
    Case("least", "ReduceMin", (IMAGE,), (), {"axes": [1], "keepdims": 1}),
    Case("sum", "ReduceSum", (IMAGE,), (np.asarray([2, 3]),), {"keepdims": 0}),
    Case("global average pool", "GlobalAveragePool", (IMAGE,)),
    Case("global max pool", "GlobalMaxPool", (IMAGE,)),
]

POOLS = [
    Case("max pool", "MaxPool", (SQUARE,), (), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Case("max pool same", "MaxPool", (SQUARE,), (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    Case("max pool with pads of its own", "MaxPool", (SQUARE,), (), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Case("max pool rounded up", "MaxPool", (SQUARE,), (), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    Case("max pool of a row", "MaxPool", ((1, 3, 9),), (), {"kernel_shape": [2], "strides": [2]}),
    Case("average pool", "AveragePool", (SQUARE,), (), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Case("average pool same", "AveragePool", (SQUARE,), (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    Case(
        "average pool that counts pads",
        "AveragePool",
        (SQUARE,),
        (),
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    Case(
        "average pool with pads of its own",
        "AveragePool",
        (SQUARE,),
        (),
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        max_steps=1.6,
    ),
    Case("average pool rounded up", "AveragePool", (SQUARE,), (), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    Case("average pool of everything", "AveragePool", (SQUARE,), (), {"kernel_shape": [8, 8]}),
]

ACTIVATIONS = [
    *(Case(op_type.lower(), op_type, (IMAGE,)) for op_type in ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid")),
    Case("hard swish", "HardSwish", (IMAGE,), opset=14),
    Case("relu6", "Clip", (IMAGE,), (np.float32(0), np.float32(6))),
    Case("clip to one", "Clip", (IMAGE,), (np.float32(-1), np.float32(1))),
    Case("clip", "Clip", (IMAGE,), (np.float32(-0.4), np.float32(1.3))),
    Case("clip from below", "Clip", (IMAGE,), (np.float32(-0.4),)),
    Case("leaky relu with slope", "LeakyRelu", (IMAGE,), (), {"alpha": 0.2}),
    Case("p relu", "PRelu", (IMAGE,), (normal(6, 1, 1),)),
    Case("p relu with one slope", "PRelu", (IMAGE,), (np.asarray([0.25], np.float32),)),
    Case("hard sigmoid of mobile nets", "HardSigmoid", (IMAGE,), (), {"alpha": 1 / 6, "beta": 0.5}),
    Case("softmax", "Softmax", ((1, 10),)),
    Case("softmax of channels", "Softmax", (IMAGE,), (), {"axis": 1}),
    Case("log softmax", "LogSoftmax", ((1, 10),), max_steps=2),  # its steps are 1/16 by the specification
]

MOVES = [
    Case("concat", "Concat", (IMAGE, IMAGE), (), {"axis": 1}),
    Case("concat of rows", "Concat", (IMAGE, IMAGE), (), {"axis": -1}),
    Case("split", "Split", (IMAGE,), (), {"axis": 1}, outputs=3),
    Case("split in unequal parts", "Split", (IMAGE,), (np.asarray([1, 5]),), {"axis": 1}, outputs=2),
    Case("slice", "Slice", (IMAGE,), (np.asarray([1, 2]), np.asarray([4, 2**62]), np.asarray([1, -1]))),
    Case("slice with steps", "Slice", (IMAGE,), (np.asarray([0]), np.asarray([9]), np.asarray([2]), np.asarray([2]))),
    Case("slice backwards", "Slice", (IMAGE,), (np.asarray([-1]), np.asarray([-(2**62)]), np.asarray([2]), np.asarray([-1]))),
    Case("pad", "Pad", (IMAGE,), (np.asarray([0, 0, 1, 2, 0, 0, 0, 1]),)),
    Case("pad with a number", "Pad", (IMAGE,), (np.asarray([0, 0, 1, 2, 0, 0, 0, 1]), np.float32(0.5))),
    Case("pad by reflection", "Pad", (IMAGE,), (np.asarray([0, 0, 1, 2, 0, 0, 0, 1]),), {"mode": "reflect"}),
    Case("reshape", "Reshape", (IMAGE,), (np.asarray([1, 12, -1]),)),
    Case("flatten", "Flatten", (IMAGE,)),
    Case("squeeze", "Squeeze", ((1, 6, 1, 8),), (np.asarray([2]),)),
    Case("unsqueeze", "Unsqueeze", ((1, 6, 8),), (np.asarray([2]),)),
    Case("transpose", "Transpose", (IMAGE,), (), {"perm": [0, 2, 3, 1]}),
    Case("transpose of a matrix", "Transpose", ((3, 4),)),
    Case("gather one", "Gather", (IMAGE,), (np.asarray(2),), {"axis": 1}),
    Case("gather some", "Gather", (IMAGE,), (np.asarray([0, 5, -1]),), {"axis": 1}),
    Case("gather a table", "Gather", (IMAGE,), (np.asarray([[0, 5], [2, -1]]),), {"axis": 1}),
    Case("expand", "Expand", ((1, 6, 1, 8),), (np.asarray([1, 6, 4, 8]),)),
    Case("expand to more axes", "Expand", ((6, 1),), (np.asarray([1, 2, 6, 4]),)),
    Case("tile", "Tile", (IMAGE,), (np.asarray([1, 2, 1, 3]),)),
    Case("gather by places", "GatherND", (IMAGE,), (np.asarray([[0, 5, 1], [0, -1, 2]]),)),
    Case("scatter", "ScatterND", ((3, 4),), (np.asarray([[2, 0], [0, -1]]), normal(2))),
    Case("scatter rows", "ScatterND", ((3, 4),), (np.asarray([[2], [0]]), normal(2, 4))),
    Case("depth to space", "DepthToSpace", ((1, 8, 3, 4),), (), {"blocksize": 2}),
    Case("depth to space by columns", "DepthToSpace", ((1, 8, 3, 4),), (), {"blocksize": 2, "mode": "CRD"}),
    Case("space to depth", "SpaceToDepth", ((1, 2, 6, 4),), (), {"blocksize": 2}),
    resize("nearest asymmetric", (16, 16), "nearest", "asymmetric", nearest_mode="floor"),
    resize("nearest half pixel", (16, 16), "nearest", "half_pixel"),
    resize("nearest by gathering", (11, 13), "nearest", "asymmetric", nearest_mode="ceil"),
    resize("nearest with aligned corners", (15, 15), "nearest", "align_corners"),
    resize("linear half pixel", (16, 16), "linear", "half_pixel"),
    resize("linear pytorch half pixel", (12, 20), "linear", "pytorch_half_pixel"),
    resize("linear aligned", (15, 15), "linear", "align_corners"),
    resize("linear asymmetric", (16, 16), "linear", "asymmetric"),
    resize("linear smaller", (4, 4), "linear", "half_pixel"),
]

# TFLite computes these with int8 as well, but not with int16.
CURVES = [
    Case("exp", "Exp", (IMAGE,)),
    Case("abs", "Abs", (IMAGE,)),
    Case("elu", "Elu", (IMAGE,)),
    Case("gelu", "Gelu", (IMAGE,), (), {"approximate": "tanh"}, opset=20),
]

SCALE, BIAS = normal(6, seed=2), normal(6, seed=3)
# Written out in steps for which no plan has ranges.
WRITTEN_OUT = [
    *(Case(op_type.lower(), op_type, (IMAGE,)) for op_type in ("Erf", "Softplus", "Selu", "Softsign", "Sign", "Sinh", "Cosh")),
    *(Case(op_type.lower(), op_type, (IMAGE,)) for op_type in ("Floor", "Ceil", "Round")),
    Case("celu", "Celu", (IMAGE,), (), {"alpha": 0.7}),
    Case("mish", "Mish", (IMAGE,), opset=18),
    Case("elu with slope", "Elu", (IMAGE,), (), {"alpha": 0.5}),
    Case("thresholded relu", "ThresholdedRelu", (IMAGE,), (), {"alpha": 0.3}),
    Case("reciprocal", "Reciprocal", (IMAGE,), positive=True),
    Case("layer normalization", "LayerNormalization", ((1, 5, 8),), (normal(8), normal(8, seed=2)), opset=17),
    Case("layer normalization of images", "LayerNormalization", (IMAGE,), (normal(6, 9, 8),), {"axis": 1}, opset=17),
    Case("instance normalization", "InstanceNormalization", (IMAGE,), (SCALE, BIAS)),
    Case("instance normalization of rows", "InstanceNormalization", ((1, 6, 20),), (SCALE, BIAS)),
    Case("lp normalization", "LpNormalization", (IMAGE,), (), {"axis": 1}),
    Case("l1 normalization", "LpNormalization", (IMAGE,), (), {"axis": 1, "p": 1}),
    Case("local response normalization", "LRN", (IMAGE,), (), {"size": 3, "alpha": 0.1, "beta": 0.7, "bias": 1.5}),
    Case("sum of magnitudes", "ReduceL1", (IMAGE,), (), {"axes": [1], "keepdims": 0}),
    Case("length", "ReduceL2", (IMAGE,), (), {"axes": [1, 2]}),
    Case("sum of squares", "ReduceSumSquare", (IMAGE,), (), {"axes": [3], "keepdims": 0}),
    Case("product of all", "ReduceProd", ((1, 2, 3),), (), {"axes": [1]}),
]

FLOAT_ONLY = [
    Case("sqrt", "Sqrt", (IMAGE,), positive=True),
    Case("log", "Log", (IMAGE,), positive=True),
    Case("div of two inputs", "Div", (IMAGE, IMAGE), positive=True),
    Case("power", "Pow", (IMAGE,), (np.float32(1.5),), positive=True),
    Case("sin", "Sin", (IMAGE,)),
    Case("cos", "Cos", (IMAGE,)),
]

INTEGER = [*CONVOLUTIONS, *DENSE, *ARITHMETIC, *REDUCTIONS, *POOLS, *ACTIVATIONS, *MOVES, *CURVES]
