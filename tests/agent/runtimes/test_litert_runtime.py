"""LiteRT behind the port, on real keyword-spotting models; skipped where the runtime or the models are missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from agent.runtimes import litert
from agent.runtimes.errors import CpuFallbackError, ModelUnloadableError, RuntimeMissingError, TensorMismatchError
from agent.runtimes.installed import installed_runtimes
from agent.runtimes.port import ModelSource
from contracts.agent_config import RuntimeSection
from contracts.manifest import Artifact, Tolerance
from contracts.preprocess import Preprocess
from contracts.tensors import TensorSpec
from tests.shared_data import shared_file
from tests.sim.tiny_release import GATE

KEYWORDS = Preprocess(mean=83.0, std=1 / 0.5847029)

needs_litert = pytest.mark.skipif("litert" not in installed_runtimes(), reason="neither ai-edge-litert nor tflite-runtime is installed")


def source(file: Path, target: str = "rpi4", output: str = "Identity", classes: int = 12) -> ModelSource:
    artifact = Artifact(
        runtime="litert",
        precision="int8",
        file="model.tflite",
        inputs=(TensorSpec(name="input_1", datatype="FP32", shape=(1, 49, 10, 1)),),
        outputs=(TensorSpec(name=output, datatype="FP32", shape=(1, classes)),),
        golden_outputs="golden.npz",
        tolerance=Tolerance(absolute=0, same_argmax=True),
        gate=GATE,
    )
    return ModelSource(file, artifact, target, threads=1)


def evaluate(runtime: litert.LiteRuntime) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the accuracy on the evaluation set, and each answer's sum."""
    with np.load(shared_file("kws01/eval.npz")) as arrays:
        samples, labels = arrays["x"], arrays["y"]
    answers = np.concatenate([runtime.infer({"input_1": KEYWORDS.apply(samples[i : i + 1])})["Identity"] for i in range(len(samples))])
    return float((answers.argmax(axis=1) == labels).mean()), answers.sum(axis=1, dtype=np.float64)


@needs_litert
@pytest.mark.parametrize(("model", "accuracy"), [("dscnn_int8_ref.tflite", 0.895), ("dscnn_float.tflite", 0.8975)])
def test_real_values_go_in_and_out_whatever_the_tensors_hold(model: str, accuracy: float) -> None:
    found, sums = evaluate(litert.load(source(shared_file(f"kws01/{model}"))))

    assert found == pytest.approx(accuracy, abs=0.003)
    np.testing.assert_allclose(sums, 1.0, atol=0.02)


@needs_litert
def test_a_coral_without_its_accelerator_runs_on_the_cpu_and_says_so() -> None:
    runtime = litert.load(source(shared_file("kws01/dscnn_int8_ref.tflite"), target="coral"))

    assert runtime.preferred_provider == litert.EDGE_TPU
    assert runtime.provider in (litert.XNNPACK, litert.CPU)


@needs_litert
def test_a_model_compiled_for_the_edge_tpu_cannot_run_without_it() -> None:
    compiled = shared_file("edgetpu_twins/tools_split_concat_edgetpu.tflite")

    with pytest.raises(ModelUnloadableError, match="edgetpu-custom-op"):
        litert.load(source(compiled, target="coral"))


@needs_litert
def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"this was never a model")

    with pytest.raises(ModelUnloadableError, match=r"model\.tflite"):
        litert.load(source(tmp_path / "model.tflite"))


@needs_litert
@pytest.mark.parametrize(("output", "classes"), [("scores", 12), ("Identity", 13)])
def test_tensors_other_than_the_manifest_promises_are_refused(output: str, classes: int) -> None:
    with pytest.raises(TensorMismatchError, match=f"outputs {output}"):
        litert.load(source(shared_file("kws01/dscnn_int8_ref.tflite"), output=output, classes=classes))


@pytest.mark.skipif("litert" in installed_runtimes(), reason="a runtime is installed")
def test_a_device_without_the_runtime_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMissingError, match=r"fieldfare\[litert\]"):
        litert.load(source(tmp_path / "model.tflite"))


@needs_litert
@pytest.mark.parametrize(
    ("file", "placement"),
    # Of the integer model XNNPACK leaves the pooling and the softmax over.
    [("kws01/dscnn_int8_ref.tflite", {"XNNPACK": 11, "CPU": 2}), ("kws01/dscnn_float.tflite", {"XNNPACK": 13})],
)
def test_what_the_delegate_took_and_what_it_left_over_is_told(file: str, placement: dict[str, int]) -> None:
    assert litert.load(source(shared_file(file))).placement == placement


@needs_litert
def test_a_release_compiled_for_the_edge_tpu_goes_to_the_cpu_only_where_that_is_allowed() -> None:
    judged = shared_file("kws01/dscnn_int8_ref.tflite")
    compiled = replace(source(shared_file("edgetpu_twins/keras_lstm_mnist_ptq_edgetpu.tflite"), target="coral"), cpu_file=judged)

    with pytest.raises(CpuFallbackError, match=r"expected EdgeTPU to run it, found: .*libedgetpu.* set runtime.allow_cpu_fallback"):
        litert.load(compiled)

    allowed = litert.load(replace(compiled, runtime=RuntimeSection(allow_cpu_fallback=True)))
    assert (allowed.provider, allowed.preferred_provider) == ("XNNPACK", "EdgeTPU")
