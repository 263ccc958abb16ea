"""Two public kernels of one published integer model, as compiler and device: where one step may be asked for, and where it may not."""

from __future__ import annotations

import numpy as np
import pytest

from agent.runtimes.installed import installed_runtimes
from agent.runtimes.port import Arrays
from agent.worker.golden import GoldenSet, run_golden
from compiler.evaluate.litert import LiteRunner
from compiler.graph.interface import Interface
from compiler.package.golden import Closeness, closeness_of
from contracts.manifest import Tolerance
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec
from tests.shared_data import shared_file

SAMPLES = 100
MODEL = Interface(
    (TensorSpec(name="input_1", datatype="FP32", shape=(1, 49, 10, 1)),), (TensorSpec(name="Identity", datatype="FP32", shape=(1, 12)),)
)
KEYWORDS = Preprocess(mean=83.0, std=1 / 0.5847029)

pytestmark = pytest.mark.skipif("litert" not in installed_runtimes(), reason="no LiteRT is installed")


def keywords() -> Arrays:
    with np.load(shared_file("kws01/eval.npz")) as arrays:
        return {"input_1": KEYWORDS.apply(arrays["x"][:SAMPLES])}


def compared() -> tuple[LiteRunner, GoldenSet, Closeness]:
    """Return the device's kernels, what the compiler's answered, and how close the two are."""
    raw, inputs = shared_file("kws01/dscnn_int8_ref.tflite").read_bytes(), keywords()
    ours, theirs = LiteRunner("rpi4", raw, MODEL), LiteRunner("rpi4", raw, MODEL, with_xnnpack=False)
    feeds = [{"input_1": row[None]} for row in inputs["input_1"]]
    answers, others = [[runner.infer(feed) for feed in feeds] for runner in (ours, theirs)]
    outputs: Arrays = {"Identity": np.concatenate([answer["Identity"] for answer in answers])}
    return theirs, GoldenSet(inputs, outputs, SAMPLES), closeness_of(answers, others, 255, theirs.output_steps)


def test_a_device_with_other_kernels_is_held_to_one_step_where_kernels_agree_and_named_where_they_do_not() -> None:
    device, golden, close = compared()
    assert close.steps == {"Identity": 1 / 256}
    # Most samples are steady, and not all
    assert SAMPLES / 2 < np.count_nonzero(close.is_steady) < SAMPLES
    tolerance = Tolerance(absolute=close.absolute, same_argmax=True, steps=dict(close.steps))
    inputs, outputs = ({name: values[close.is_steady] for name, values in part.items()} for part in (golden.inputs, golden.outputs))
    steady = GoldenSet(inputs, outputs, samples=int(close.is_steady.sum()))

    def infer(sample: Arrays) -> Arrays:
        return dict(device.infer(dict(sample)))

    assert run_golden(infer, steady, tolerance).passed
    verdict = run_golden(infer, golden, tolerance)
    assert not verdict.passed
    assert "output Identity: value" in verdict.reason
    assert verdict.reason.endswith("allowed one step of 0.00390625")
    # The absolute tolerance alone, made for such differences, lets the same device pass
    assert run_golden(infer, golden, Tolerance(absolute=close.absolute, same_argmax=False)).passed
