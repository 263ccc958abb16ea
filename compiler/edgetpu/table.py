"""The operators that an Edge TPU is documented to run, with their limits; and what to write instead of some that it does not run."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.edgetpu import limits
from compiler.edgetpu.case import Check


@dataclass(frozen=True)
class Supported:
    """One operator: `checks` are its limits, `since` the first runtime version that has it where it was not there from the start."""

    checks: tuple[Check, ...] = ()
    since: int | None = None


NO_LIMIT = Supported()
SUPPORTED: dict[str, Supported] = {
    "ADD": NO_LIMIT,
    "AVERAGE_POOL_2D": Supported((limits.no_fused_activation,)),
    "CONCATENATION": Supported((limits.no_fused_activation, limits.zero_constant)),
    "CONV_2D": Supported((limits.constant_parameters, limits.one_dilation)),
    "DEPTHWISE_CONV_2D": Supported((limits.constant_parameters, limits.one_dilation)),
    "EXPAND_DIMS": Supported(since=13),
    "FULLY_CONNECTED": Supported((limits.constant_parameters, limits.one_row)),
    "L2_NORMALIZATION": NO_LIMIT,
    "LOGISTIC": NO_LIMIT,
    "MAXIMUM": NO_LIMIT,
    "MAX_POOL_2D": Supported((limits.no_fused_activation,)),
    "MEAN": Supported((limits.reduced_plane,)),
    "MINIMUM": NO_LIMIT,
    "MUL": NO_LIMIT,
    "PACK": Supported((limits.batch_is_whole,)),
    "PAD": Supported((limits.batch_is_unpadded,)),
    "PRELU": Supported((limits.row_of_slopes,)),
    "QUANTIZE": NO_LIMIT,
    "REDUCE_MAX": Supported((limits.not_the_batch,), since=14),
    "REDUCE_MIN": Supported((limits.not_the_batch,), since=14),
    "RELU": NO_LIMIT,
    "RELU6": NO_LIMIT,
    "RELU_N1_TO_1": NO_LIMIT,
    "RESHAPE": Supported((limits.plain_reshape,)),
    "RESIZE_BILINEAR": Supported((limits.known_resize,)),
    "RESIZE_NEAREST_NEIGHBOR": Supported((limits.known_resize,)),
    "RSQRT": Supported(since=14),
    "SLICE": NO_LIMIT,
    "SOFTMAX": Supported((limits.one_distribution,)),
    "SPACE_TO_DEPTH": NO_LIMIT,
    "SPLIT": Supported((limits.batch_is_whole,)),
    "SQUARED_DIFFERENCE": Supported(since=14),
    "SQUEEZE": Supported((limits.leading_ones,)),
    "STRIDED_SLICE": Supported((limits.dense_slice,)),
    "SUB": NO_LIMIT,
    "SUM": Supported((limits.not_the_batch,)),
    "TANH": NO_LIMIT,
    "TILE": Supported((limits.repeated_pixel,)),
    "TRANSPOSE": Supported(since=14),
    "TRANSPOSE_CONV": Supported((limits.constant_parameters,), since=13),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Supported(since=14),
}
# Each says the same as the operator, in operators that map.
REWRITES: dict[str, str] = {
    "DEPTH_TO_SPACE": "TRANSPOSE_CONV with weights of ones and zeros",
    "DIV": "MUL with the reciprocal, where the divisor is constant",
    "GATHER": "SLICE, where the places follow each other",
    "HARD_SWISH": "x * relu6(x + 3) / 6, of ADD, RELU6 and MUL",
    "LEAKY_RELU": "the larger of x and slope * x, of MUL and MAXIMUM",
    "NEG": "MUL by -1",
    "PADV2": "PAD, where the filler is the lowest step",
    "SPLIT_V": "a SLICE for each part",
}
