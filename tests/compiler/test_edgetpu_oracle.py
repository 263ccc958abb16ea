"""The oracle against what Edge TPU compilers made of published models, and each documented limit against a file that breaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.edgetpu.case import Case
from compiler.edgetpu.memory import SRAM_BYTES, memory_of
from compiler.edgetpu.oracle import Prediction, predict
from compiler.importers.tflite.flatbuffer import FlatModel, Operator, Tensor, read_flat
from tests.compiler.flat_models import Flat
from tests.shared_data import shared_file

TWINS = {
    "edgetpu_twins/deeplab_mobilenet_edgetpu_slim_cityscapes_quant": ["ARG_MAX", "RESIZE_BILINEAR"],
    "edgetpu_twins/keras_lstm_mnist_ptq": [],
    "edgetpu_twins/tools_split_concat": [],
    "imagenet/mobilenet_v1_0.25_128_quant": [],
}
SCALES = (0.1,)


def read(path: str) -> FlatModel:
    file = shared_file(path)
    return read_flat(file.read_bytes(), file.name)


@pytest.mark.parametrize("source", TWINS)
def test_the_oracle_agrees_with_what_the_compiler_left_on_the_cpu(source: str) -> None:
    predicted = predict(read(f"{source}.tflite"))
    compiled = read(f"edgetpu_twins/{source.rpartition('/')[2]}_edgetpu.tflite")
    # A compiled file holds one operation of the accelerator, and exactly the operators that were left on the CPU.
    left = Counter((one.name, compiled.tensors[one.outputs[0]].name) for one in compiled.operators if not one.name.startswith("CUSTOM"))
    on_cpu = Counter((one.case.kind, one.case.result.name) for one in predicted.placed if one.where == "cpu")
    assert predicted.count("unknown") == 0
    assert on_cpu == left
    assert sorted(kind for kind, _ in left) == TWINS[source]


class Drawn:
    """A file of a few operators on int8 tensors."""

    def __init__(self, *shape: int, dtype: str = "int8", free: Sequence[int] = ()) -> None:
        self.flat = Flat()
        scales = SCALES if "int" in dtype else ()
        self.last = self.first = self.flat.value("x", shape, dtype, scales=scales, free=free)

    def operate(self, kind: str, shape: Sequence[int], constants: Sequence[Any] = (), options: str = "", **fields: Any) -> Drawn:
        """Add an operator on the last tensor; constants follow it, or come before it where the schema wants that."""
        places = [self.flat.constant(np.asarray(value), scales=SCALES if np.asarray(value).dtype == np.int8 else ()) for value in constants]
        inputs = [*places, self.last] if kind in {"SPLIT", "TRANSPOSE_CONV"} else [self.last, *places]
        self.last = self.flat.value(f"{kind.lower()}{len(self.flat.operators)}", shape, fields.pop("dtype", "int8"), scales=SCALES)
        self.flat.operate(kind, inputs, [self.last], options, **fields)
        return self

    def predict(self, tmp_path: Path) -> Prediction:
        file = self.flat.write(tmp_path / "model.tflite", [self.first], [self.last])
        return predict(read_flat(file.read_bytes(), "model"))


def ints(*values: int) -> Any:
    return np.asarray(values, np.int32)


def weights(*shape: int) -> Any:
    return np.ones(shape, np.int8)


def relu(kind: str = "RELU", shape: Sequence[int] = (1, 8, 8, 4), **more: Any) -> Callable[[], Drawn]:
    return lambda: Drawn(*shape, **more).operate(kind, shape)


def one(kind: str, before: Sequence[int], after: Sequence[int], *constants: Any, options: str = "", **fields: Any) -> Callable[[], Drawn]:
    return lambda: Drawn(*before).operate(kind, after, constants, options, **fields)


IMAGE = (1, 8, 8, 4)
SLICED = (IMAGE, IMAGE, ints(0, 0), ints(1, 4))
KERNEL = (weights(4, 3, 3, 4), ints(0, 0, 0, 0))
ALLOWED = [
    relu(),
    relu(free=(0,)),
    relu(shape=(8, 8, 4)),
    one("AVERAGE_POOL_2D", IMAGE, (1, 4, 4, 4), options="Pool2DOptions"),
    one("CONV_2D", IMAGE, IMAGE, *KERNEL, options="Conv2DOptions", dilationWFactor=2, dilationHFactor=2),
    one("FULLY_CONNECTED", (1, 16), (1, 4), weights(4, 16), ints(0, 0, 0, 0), options="FullyConnectedOptions"),
    one("MEAN", IMAGE, (1, 4), ints(1, 2)),
    one("MEAN", IMAGE, (1, 8, 8), ints(3)),
    one("PAD", IMAGE, (1, 10, 10, 4), np.asarray([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)),
    one("PRELU", IMAGE, IMAGE, weights(1, 1, 4)),
    one("RESIZE_NEAREST_NEIGHBOR", IMAGE, (1, 16, 16, 4), ints(16, 16)),
    one("SOFTMAX", (1, 16000), (1, 16000), options="SoftmaxOptions", beta=1.0),
    one("SPLIT", IMAGE, (1, 8, 8, 2), np.int32(3), options="SplitOptions", numSplits=2),
    one("SQUEEZE", (1, 1, 1, 4), (1, 4), options="SqueezeOptions"),
    one("STRIDED_SLICE", IMAGE, (1, 4, 4, 4), ints(0, 0, 0, 0), ints(1, 4, 4, 4), ints(1, 1, 1, 1), options="StridedSliceOptions"),
    one("TILE", (1, 1, 1, 4), IMAGE, ints(1, 8, 8, 1)),
]
BROKEN: list[tuple[str, Callable[[], Drawn]]] = [
    ("size that is open", relu(free=(1,))),
    ("is int32, not 8-bit", relu(dtype="int32")),
    ("is float32, not 8-bit", relu(dtype="float32")),
    ("more than its three inner dimensions", relu(shape=(2, 8, 8, 4))),
    ("fused activation", one("MAX_POOL_2D", IMAGE, (1, 4, 4, 4), options="Pool2DOptions", fusedActivationFunction=1)),
    ("fused activation", one("AVERAGE_POOL_2D", IMAGE, (1, 4, 4, 4), options="Pool2DOptions", fusedActivationFunction=3)),
    ("fused activation", one("CONCATENATION", IMAGE, IMAGE, options="ConcatenationOptions", axis=3, fusedActivationFunction=1)),
    ("a constant is joined", one("CONCATENATION", IMAGE, (1, 8, 8, 8), weights(*IMAGE), options="ConcatenationOptions", axis=3)),
    ("dilations differ", one("CONV_2D", IMAGE, IMAGE, *KERNEL, options="Conv2DOptions", dilationWFactor=1, dilationHFactor=2)),
    (
        "dilations differ",
        one("DEPTHWISE_CONV_2D", IMAGE, IMAGE, weights(1, 3, 3, 4), options="DepthwiseConv2DOptions", dilationWFactor=2, dilationHFactor=1),
    ),
    ("3 rows", one("FULLY_CONNECTED", (3, 16), (3, 4), weights(4, 16), options="FullyConnectedOptions")),
    ("default format", one("FULLY_CONNECTED", (1, 16), (1, 4), weights(4, 16), options="FullyConnectedOptions", weightsFormat=1)),
    ("no multiple of 4", one("MEAN", (1, 8, 8, 6), (1, 8, 8), ints(3))),
    ("along the batch", one("MEAN", IMAGE, (8, 8, 4), ints(0))),
    ("mean of 32,768 elements", one("MEAN", (1, 256, 128, 3), (1, 3), ints(1, 2))),
    ("along the batch", one("SUM", IMAGE, (8, 8, 4), ints(0))),
    ("along the batch", one("REDUCE_MAX", IMAGE, (8, 8, 4), ints(-4))),
    ("along the batch", one("PACK", (8, 8, 4), IMAGE, options="PackOptions", axis=0, valuesCount=1)),
    ("along the batch", one("SPLIT", IMAGE, IMAGE, np.int32(0), options="SplitOptions", numSplits=1)),
    ("along the batch", one("PAD", IMAGE, IMAGE, np.asarray([[0, 1], [0, 0], [0, 0], [0, 0]], np.int32))),
    ("slopes have the shape", one("PRELU", IMAGE, IMAGE, weights(8, 8, 4))),
    ("from 1 x 1", one("RESIZE_BILINEAR", (1, 1, 1, 4), IMAGE, ints(8, 8))),
    ("loses precision", one("RESIZE_BILINEAR", (1, 33, 33, 19), (1, 513, 513, 19), ints(513, 513))),
    ("more than one row", one("SOFTMAX", (2, 10), (2, 10), options="SoftmaxOptions", beta=1.0)),
    ("16,001 elements", one("SOFTMAX", (1, 16001), (1, 16001), options="SoftmaxOptions", beta=1.0)),
    ("drops inner dimensions", one("SQUEEZE", (1, 7, 7, 1), (1, 7, 7), options="SqueezeOptions")),
    (
        "strides are",
        one("STRIDED_SLICE", IMAGE, (1, 4, 4, 4), ints(0, 0, 0, 0), ints(1, 8, 8, 4), ints(1, 2, 2, 1), options="StridedSliceOptions"),
    ),
    ("ellipsisMask", one("STRIDED_SLICE", *SLICED, ints(1, 1), options="StridedSliceOptions", ellipsisMask=2)),
    ("newAxisMask", one("STRIDED_SLICE", *SLICED, ints(1, 1), options="StridedSliceOptions", newAxisMask=1)),
    ("not among the operators", relu("HARD_SWISH")),
    ("not among the operators", relu("ABS")),
]
UNKNOWN = [
    one("MEAN", (1, 64, 64, 4), (1, 4), ints(1, 2)),
    one("RESHAPE", (1, 64, 64, 32), (1, 131072), ints(1, 131072), options="ReshapeOptions"),
    one("RESIZE_BILINEAR", (1, 30, 30, 4), (1, 100, 100, 4), ints(100, 100)),
    one("TILE", IMAGE, (1, 16, 8, 4), ints(1, 2, 1, 1)),
]


@pytest.mark.parametrize("draw", ALLOWED)
def test_what_keeps_all_limits_is_expected_to_map(draw: Callable[[], Drawn], tmp_path: Path) -> None:
    placed = draw().predict(tmp_path).placed
    assert [(one.where, one.verdict.reason) for one in placed] == [("tpu", "it keeps all documented limits")]


@pytest.mark.parametrize(("reason", "draw"), BROKEN)
def test_what_breaks_a_limit_stays_on_the_cpu_and_the_reason_says_which(reason: str, draw: Callable[[], Drawn], tmp_path: Path) -> None:
    verdict = draw().predict(tmp_path).placed[0].verdict
    assert verdict.where == "cpu"
    assert reason in verdict.reason


@pytest.mark.parametrize("draw", UNKNOWN)
def test_what_the_documentation_leaves_open_is_unknown(draw: Callable[[], Drawn], tmp_path: Path) -> None:
    assert [one.where for one in draw().predict(tmp_path).placed] == ["unknown"]


@pytest.mark.parametrize("kind", ["HARD_SWISH", "LEAKY_RELU"])
def test_a_rewrite_is_named_where_there_is_one(kind: str, tmp_path: Path) -> None:
    assert relu(kind)().predict(tmp_path).placed[0].verdict.rewrite is not None


def test_an_operator_without_the_inputs_it_needs_is_unknown(tmp_path: Path) -> None:
    verdict = one("PRELU", IMAGE, IMAGE)().predict(tmp_path).placed[0].verdict
    assert (verdict.where, verdict.reason[:41]) == ("unknown", "its inputs are not what the schema asks f")


def test_an_unsupported_prefix_stays_on_the_cpu_and_the_rest_is_mapped(tmp_path: Path) -> None:
    drawn = Drawn(*IMAGE, dtype="float32").operate("QUANTIZE", IMAGE).operate("RELU", IMAGE).operate("TANH", IMAGE)
    assert [one.where for one in drawn.predict(tmp_path).placed] == ["cpu", "tpu", "tpu"]


def test_after_the_first_mapped_operator_one_that_is_not_sends_the_rest_to_the_cpu(tmp_path: Path) -> None:
    drawn = Drawn(*IMAGE).operate("RELU", IMAGE).operate("ABS", IMAGE).operate("RELU", IMAGE).operate("TANH", IMAGE)
    placed = drawn.predict(tmp_path).placed
    assert [one.where for one in placed] == ["tpu", "cpu", "cpu", "cpu"]
    assert placed[3].verdict.reason == "it comes behind ABS abs1, and the graph is cut only once"
    assert placed[3].alone.where == "tpu"


def test_behind_what_is_unknown_nothing_is_known(tmp_path: Path) -> None:
    drawn = Drawn(*IMAGE).operate("RELU", IMAGE).operate("TILE", (1, 16, 8, 4), [ints(1, 2, 1, 1)]).operate("RELU", (1, 16, 8, 4))
    assert [one.where for one in drawn.predict(tmp_path).placed] == ["tpu", "unknown", "unknown"]


def test_what_needs_nothing_of_the_cpus_part_may_go_either_way(tmp_path: Path) -> None:
    drawn = Drawn(*IMAGE).operate("RELU", IMAGE)
    branch = drawn.last
    drawn.operate("ABS", IMAGE)
    drawn.last = branch
    drawn.operate("TANH", IMAGE)
    assert [one.where for one in drawn.predict(tmp_path).placed] == ["tpu", "cpu", "unknown"]


def test_the_runtime_must_know_the_newest_operator(tmp_path: Path) -> None:
    assert relu()().predict(tmp_path).runtime_version == 10
    assert one("TRANSPOSE", IMAGE, (1, 8, 4, 8), ints(0, 1, 3, 2))().predict(tmp_path).runtime_version == 14


def test_layers_are_cached_whole_and_in_order_until_the_memory_is_full() -> None:
    def layer(place: int, megabytes: int) -> Case:
        kernel = Tensor(f"w{place}", "INT8", (megabytes << 20,), frozenset(), np.zeros(megabytes << 20, np.int8), None)
        result = Tensor(f"y{place}", "INT8", (1, 16), frozenset(), None, None)
        return Case(Operator(place, "CONV_2D", (0, 1), (2,), None), (result, kernel), (result,))

    memory = memory_of([layer(0, 5), layer(1, 4), layer(2, 1)])
    assert (memory.parameters, memory.cached, memory.streamed) == (10 << 20, 5 << 20, 5 << 20)
    assert memory.first_streamed == "CONV_2D y1"
    assert memory.executable + memory.activations + memory.cached <= SRAM_BYTES


def test_the_peak_of_activations_counts_what_is_still_needed(tmp_path: Path) -> None:
    drawn = Drawn(*IMAGE).operate("RELU", IMAGE).operate("RELU", IMAGE)
    assert drawn.predict(tmp_path).memory.activations == 2 * 8 * 8 * 4
    assert memory_of([]).activations == 0


def test_published_models_fit_as_they_are_known_to() -> None:
    memory = predict(read("imagenet/mobilenet_v2_1.0_224_quant.tflite")).memory
    assert memory.streamed == 0
    assert 3_400_000 < memory.cached < 3_700_000
