"""LiteRT as the gate's runtime: what goes in and out are real values, whatever the tensors hold, as on the device."""

from __future__ import annotations

import numpy as np
import pytest

from agent.runtimes import litert as on_device
from agent.runtimes.port import ModelSource
from compiler.errors import TargetError
from compiler.evaluate.litert import LiteRunner
from compiler.evaluate.runner import RunError
from compiler.graph.interface import Interface
from compiler.package.placement import placement_of
from contracts.manifest import Artifact, Tolerance
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec
from tests.shared_data import shared_file
from tests.sim.tiny_release import GATE

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: pip install 'fieldfare[litert]'")

KEYWORDS = Preprocess(mean=83.0, std=1 / 0.5847029)
INPUT = TensorSpec(name="input_1", datatype="FP32", shape=(1, 49, 10, 1))
MODEL = Interface((INPUT,), (TensorSpec(name="Identity", datatype="FP32", shape=(1, 12)),))


def samples(count: int) -> list[dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
    with np.load(shared_file("kws01/eval.npz")) as arrays:
        return [{"input_1": KEYWORDS.apply(row[None])} for row in arrays["x"][:count]]


def test_the_gate_reads_of_an_integer_model_what_the_device_reads() -> None:
    file = shared_file("kws01/dscnn_int8_ref.tflite")
    artifact = Artifact(
        runtime="litert",
        precision="int8",
        file="model.tflite",
        inputs=MODEL.inputs,
        outputs=MODEL.outputs,
        golden_outputs="golden.npz",
        tolerance=Tolerance(absolute=0, same_argmax=True),
        gate=GATE,
    )
    device = on_device.load(ModelSource(file, artifact, "rpi4", threads=1))
    gate = LiteRunner("rpi4", file.read_bytes(), MODEL)
    assert gate.version.startswith("ai-edge-litert ")
    for feed in samples(50):
        np.testing.assert_array_equal(gate.infer(feed)["Identity"], device.infer(dict(feed))["Identity"])


def test_the_other_kernels_are_another_correct_execution() -> None:
    raw = shared_file("kws01/dscnn_int8_ref.tflite").read_bytes()
    gate, other = LiteRunner("rpi4", raw, MODEL), LiteRunner("rpi4", raw, MODEL, with_xnnpack=False)
    for feed in samples(20):
        np.testing.assert_allclose(gate.infer(feed)["Identity"], other.infer(feed)["Identity"], atol=0.1)


def test_an_integer_models_operators_are_placed_in_integers() -> None:
    placed = placement_of(shared_file("kws01/dscnn_int8_ref.tflite").read_bytes(), "litert")
    assert {one.numbers for one in placed} == {"int8"}
    assert next(one for one in placed if one.operator == "DEPTHWISE_CONV_2D").count == 4
    assert {one.numbers for one in placement_of(shared_file("ic01/resnet8_float.tflite").read_bytes(), "litert")} == {"float"}


def test_a_file_that_is_no_model_is_refused_by_the_targets_name() -> None:
    with pytest.raises(RunError, match=r"rpi4: ai-edge-litert .* cannot run it"):
        LiteRunner("rpi4", b"nothing of the kind", MODEL)


def test_a_model_with_other_tensors_is_refused_with_what_it_has() -> None:
    other = Interface((INPUT,), (TensorSpec(name="scores", datatype="FP32", shape=(1, 12)),))
    with pytest.raises(TargetError, match=r"expected a tensor scores of shape \[1, 12\], found .*Identity"):
        LiteRunner("rpi4", shared_file("kws01/dscnn_int8_ref.tflite").read_bytes(), other)
