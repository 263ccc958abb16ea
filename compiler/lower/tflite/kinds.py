"""What TFLite's specification says of each operator: its options table, its versions, and what it asks of quantized tensors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Rule(Enum):
    """How the integers of an operator's inputs and outputs must relate."""

    FREE = auto()  # each tensor has parameters of its own
    MOVES = auto()  # the outputs have the parameters of the input that holds values
    TIED = auto()  # all inputs have the parameters of the output
    FIXED = auto()  # the output's parameters are given by the specification
    FLOAT = auto()  # no integer form, in one of the runtimes at least


@dataclass(frozen=True)
class Facts:
    """One operator: `fixed` holds (scale, zero point) of an int8 output and `fixed16` of an int16 one."""

    rule: Rule
    options: str | None = None
    # By these a runtime refuses files newer than itself.
    float_version: int = 1
    int8_version: int = 2
    int16_version: int | None = None
    fixed: tuple[float, int] | None = None
    fixed16: tuple[float, int] | None = None


class Kind(Enum):
    """The operators that are written; their names are the schema's."""

    ABS = auto()
    ADD = auto()
    AVERAGE_POOL_2D = auto()
    BATCH_MATMUL = auto()
    CAST = auto()
    CEIL = auto()
    CONCATENATION = auto()
    CONV_2D = auto()
    COS = auto()
    DEPTHWISE_CONV_2D = auto()
    DEPTH_TO_SPACE = auto()
    DEQUANTIZE = auto()
    DIV = auto()
    ELU = auto()
    EQUAL = auto()
    EXP = auto()
    FLOOR = auto()
    FULLY_CONNECTED = auto()
    GATHER = auto()
    GELU = auto()
    GREATER = auto()
    GREATER_EQUAL = auto()
    HARD_SWISH = auto()
    LEAKY_RELU = auto()
    LESS = auto()
    LESS_EQUAL = auto()
    LOCAL_RESPONSE_NORMALIZATION = auto()
    LOG = auto()
    LOGICAL_AND = auto()
    LOGICAL_NOT = auto()
    LOGICAL_OR = auto()
    LOGISTIC = auto()
    LOG_SOFTMAX = auto()
    MAXIMUM = auto()
    MAX_POOL_2D = auto()
    MEAN = auto()
    MINIMUM = auto()
    MIRROR_PAD = auto()
    MUL = auto()
    NOT_EQUAL = auto()
    PAD = auto()
    PADV2 = auto()
    POW = auto()
    PRELU = auto()
    QUANTIZE = auto()
    REDUCE_MAX = auto()
    REDUCE_MIN = auto()
    REDUCE_PROD = auto()
    RELU = auto()
    RELU6 = auto()
    RELU_N1_TO_1 = auto()
    RESHAPE = auto()
    RESIZE_BILINEAR = auto()
    RESIZE_NEAREST_NEIGHBOR = auto()
    ROUND = auto()
    RSQRT = auto()
    SELECT_V2 = auto()
    SIN = auto()
    SLICE = auto()
    SOFTMAX = auto()
    SPACE_TO_DEPTH = auto()
    SPLIT = auto()
    SPLIT_V = auto()
    SQRT = auto()
    STRIDED_SLICE = auto()
    SUB = auto()
    SUM = auto()
    TANH = auto()
    TILE = auto()
    TRANSPOSE = auto()
    TRANSPOSE_CONV = auto()


# The rules are those of the published quantization specification (ai.google.dev/edge/litert/models/quantization_spec); the versions of
# integer forms are ones that LiteRT 2.3 and tflite-runtime 2.14 both take, which tests/compiler/tflite tries in both.
FACTS: dict[Kind, Facts] = {
    Kind.ABS: Facts(Rule.FREE, "AbsOptions"),
    Kind.ADD: Facts(Rule.FREE, "AddOptions", int16_version=4),
    Kind.AVERAGE_POOL_2D: Facts(Rule.MOVES, "Pool2DOptions", int16_version=3),
    Kind.BATCH_MATMUL: Facts(Rule.FREE, "BatchMatMulOptions"),
    Kind.CAST: Facts(Rule.FLOAT, "CastOptions"),
    Kind.CEIL: Facts(Rule.FLOAT),
    Kind.CONCATENATION: Facts(Rule.TIED, "ConcatenationOptions", int16_version=3),
    Kind.CONV_2D: Facts(Rule.FREE, "Conv2DOptions", int8_version=3, int16_version=4),
    Kind.COS: Facts(Rule.FLOAT, "CosOptions"),
    Kind.DEPTHWISE_CONV_2D: Facts(Rule.FREE, "DepthwiseConv2DOptions", int8_version=3, int16_version=5),
    Kind.DEPTH_TO_SPACE: Facts(Rule.MOVES, "DepthToSpaceOptions", int8_version=1),
    Kind.DEQUANTIZE: Facts(Rule.FREE, "DequantizeOptions"),
    Kind.DIV: Facts(Rule.FLOAT, "DivOptions"),
    Kind.ELU: Facts(Rule.FREE, int8_version=1),
    Kind.EQUAL: Facts(Rule.FLOAT, "EqualOptions"),
    Kind.EXP: Facts(Rule.FREE, "ExpOptions"),
    Kind.FLOOR: Facts(Rule.FLOAT),
    Kind.FULLY_CONNECTED: Facts(Rule.FREE, "FullyConnectedOptions", int8_version=4, int16_version=7),
    Kind.GATHER: Facts(Rule.MOVES, "GatherOptions", int16_version=4),
    Kind.GELU: Facts(Rule.FREE, "GeluOptions"),
    Kind.GREATER: Facts(Rule.FLOAT, "GreaterOptions"),
    Kind.GREATER_EQUAL: Facts(Rule.FLOAT, "GreaterEqualOptions"),
    Kind.HARD_SWISH: Facts(Rule.FREE, "HardSwishOptions", int8_version=1),
    Kind.LEAKY_RELU: Facts(Rule.FREE, "LeakyReluOptions", int16_version=2),
    Kind.LESS: Facts(Rule.FLOAT, "LessOptions"),
    Kind.LESS_EQUAL: Facts(Rule.FLOAT, "LessEqualOptions"),
    Kind.LOCAL_RESPONSE_NORMALIZATION: Facts(Rule.FLOAT, "LocalResponseNormalizationOptions"),
    Kind.LOG: Facts(Rule.FLOAT),
    Kind.LOGICAL_AND: Facts(Rule.FLOAT, "LogicalAndOptions"),
    Kind.LOGICAL_NOT: Facts(Rule.FLOAT, "LogicalNotOptions"),
    Kind.LOGICAL_OR: Facts(Rule.FLOAT, "LogicalOrOptions"),
    Kind.LOGISTIC: Facts(Rule.FIXED, int16_version=3, fixed=(1 / 256, -128), fixed16=(1 / 32768, 0)),
    Kind.LOG_SOFTMAX: Facts(Rule.FIXED, "LogSoftmaxOptions", fixed=(16 / 256, 127)),
    Kind.MAXIMUM: Facts(Rule.TIED, "MaximumMinimumOptions", int16_version=4),
    Kind.MAX_POOL_2D: Facts(Rule.MOVES, "Pool2DOptions", int16_version=3),
    Kind.MEAN: Facts(Rule.FREE, "ReducerOptions", int16_version=3),
    Kind.MINIMUM: Facts(Rule.TIED, "MaximumMinimumOptions", int16_version=4),
    Kind.MIRROR_PAD: Facts(Rule.MOVES, "MirrorPadOptions", int16_version=3),
    Kind.MUL: Facts(Rule.FREE, "MulOptions", int16_version=4),
    Kind.NOT_EQUAL: Facts(Rule.FLOAT, "NotEqualOptions"),
    Kind.PAD: Facts(Rule.MOVES, "PadOptions", int16_version=3),
    Kind.PADV2: Facts(Rule.MOVES, "PadV2Options", int16_version=3),
    Kind.POW: Facts(Rule.FLOAT, "PowOptions"),
    Kind.PRELU: Facts(Rule.FREE, int8_version=1),
    Kind.QUANTIZE: Facts(Rule.FREE, "QuantizeOptions"),
    Kind.REDUCE_MAX: Facts(Rule.MOVES, "ReducerOptions", int16_version=3),
    Kind.REDUCE_MIN: Facts(Rule.MOVES, "ReducerOptions", int16_version=3),
    Kind.REDUCE_PROD: Facts(Rule.FLOAT, "ReducerOptions"),
    Kind.RELU: Facts(Rule.FREE, int16_version=3),
    Kind.RELU6: Facts(Rule.FREE, int16_version=3),
    Kind.RELU_N1_TO_1: Facts(Rule.FREE, int8_version=1),
    Kind.RESHAPE: Facts(Rule.MOVES, "ReshapeOptions", int8_version=1, int16_version=1),
    Kind.RESIZE_BILINEAR: Facts(Rule.MOVES, "ResizeBilinearOptions", float_version=3, int8_version=3, int16_version=4),
    Kind.RESIZE_NEAREST_NEIGHBOR: Facts(Rule.MOVES, "ResizeNearestNeighborOptions", float_version=3, int8_version=3, int16_version=4),
    Kind.ROUND: Facts(Rule.FLOAT),
    Kind.RSQRT: Facts(Rule.FLOAT),
    Kind.SELECT_V2: Facts(Rule.FLOAT, "SelectV2Options"),
    Kind.SIN: Facts(Rule.FLOAT),
    Kind.SLICE: Facts(Rule.MOVES, "SliceOptions", int16_version=4),
    Kind.SOFTMAX: Facts(Rule.FIXED, "SoftmaxOptions", int16_version=3, fixed=(1 / 256, -128), fixed16=(1 / 32768, 0)),
    Kind.SPACE_TO_DEPTH: Facts(Rule.MOVES, "SpaceToDepthOptions", int8_version=1),
    Kind.SPLIT: Facts(Rule.MOVES, "SplitOptions", int16_version=4),
    Kind.SPLIT_V: Facts(Rule.MOVES, "SplitVOptions", int16_version=2),
    Kind.SQRT: Facts(Rule.FLOAT),
    Kind.STRIDED_SLICE: Facts(Rule.MOVES, "StridedSliceOptions", int16_version=4),
    Kind.SUB: Facts(Rule.FREE, "SubOptions", int16_version=5),
    Kind.SUM: Facts(Rule.FREE, "ReducerOptions"),
    Kind.TANH: Facts(Rule.FIXED, int16_version=3, fixed=(1 / 128, 0), fixed16=(1 / 32768, 0)),
    Kind.TILE: Facts(Rule.MOVES, "TileOptions", int8_version=1),
    Kind.TRANSPOSE: Facts(Rule.MOVES, "TransposeOptions", int16_version=4),
    Kind.TRANSPOSE_CONV: Facts(Rule.FREE, "TransposeConvOptions", float_version=3, int8_version=3, int16_version=3),
}
