"""ONNX Runtime behind the port: which providers are asked for, what is refused, what is said of a fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from agent.runtimes import onnx
from agent.runtimes.errors import CpuFallbackError, InferenceError, ModelUnloadableError, TensorMismatchError
from agent.runtimes.port import ModelSource
from contracts.agent_config import RuntimeSection
from contracts.manifest import Artifact
from tests.sim.tiny_release import INNER, SCORES, TinyRelease

LENIENT = RuntimeSection(allow_cpu_fallback=True)


def source(folder: Path, target: str = "cpu", **changes: object) -> ModelSource:
    """Return a tiny release's artifact, changed in some fields."""
    artifact = TinyRelease().write(folder / "release").artifacts["cpu"]
    artifact = Artifact.model_validate({**artifact.model_dump(), **changes})
    return ModelSource(folder / "release" / artifact.file, artifact, target, 1, LENIENT, engine_dir=folder / "engines")


def test_tensorrt_comes_before_cuda_before_cpu_and_what_is_not_there_is_not_asked_for(tmp_path: Path) -> None:
    available = ["CPUExecutionProvider", "AzureExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]

    everything = onnx.provider_options(available, source(tmp_path))
    no_gpu = onnx.provider_options(available[:2], source(tmp_path))

    assert [name for name, _ in everything] == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert no_gpu == [("CPUExecutionProvider", {})]


@pytest.mark.parametrize(
    ("precision", "fp16", "int8"),
    [("fp32", "False", "False"), ("fp16", "True", "False"), ("int8", "False", "True"), ("int8-fp16", "True", "True")],
)
def test_tensorrt_keeps_its_engines_and_takes_the_artifacts_precision(tmp_path: Path, precision: str, fp16: str, int8: str) -> None:
    ((_, options),) = onnx.provider_options(["TensorrtExecutionProvider"], source(tmp_path, precision=precision))

    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "True"
    assert options["trt_engine_cache_path"] == str(tmp_path / "engines")
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == (fp16, int8)


def test_tensorrt_is_given_what_agent_toml_allows_and_keeps_nothing_where_nothing_may_be_kept(tmp_path: Path) -> None:
    settings = RuntimeSection(engine_effort=5, engine_workspace_bytes=1 << 28)
    bare = replace(source(tmp_path), runtime=settings, engine_dir=None)

    ((_, options),) = onnx.provider_options(["TensorrtExecutionProvider"], bare)

    assert (options["trt_builder_optimization_level"], options["trt_max_workspace_size"]) == ("5", str(1 << 28))
    assert not any(name.startswith(("trt_engine_cache", "trt_timing_cache")) for name in options)


def test_what_was_compiled_for_a_gpu_is_not_left_to_the_cpu_unless_that_is_allowed(tmp_path: Path) -> None:
    strict = replace(source(tmp_path, target="jetson-orin"), runtime=RuntimeSection())
    names = ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]

    assert [name for name, _ in onnx.provider_options(names, strict)] == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    with pytest.raises(CpuFallbackError, match=r"expected TensorrtExecutionProvider .* without TensorRT and CUDA; .*allow_cpu_fallback"):
        onnx.load(strict)


@pytest.mark.parametrize(
    ("is_allowed", "others"), [(False, ["CUDAExecutionProvider"]), (True, ["CUDAExecutionProvider", "CPUExecutionProvider"])]
)
def test_a_jetson_without_an_engine_runs_on_what_else_is_allowed(tmp_path: Path, is_allowed: bool, others: list[str]) -> None:
    names = ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
    settings = RuntimeSection(allow_cpu_fallback=is_allowed)
    bare = replace(source(tmp_path, target="jetson-orin"), runtime=settings, engine_dir=None)

    assert [name for name, _ in onnx.provider_options(names, bare)] == others
    assert onnx.preferred_provider("jetson-orin", names) == "TensorrtExecutionProvider"


def test_an_operator_that_the_gpu_leaves_over_is_refused_in_the_runtimes_words(tmp_path: Path) -> None:
    # A library with some other provider than the CPU's, which takes none of the operators
    strict = replace(source(tmp_path, target="jetson-orin"), runtime=RuntimeSection())

    with pytest.raises(CpuFallbackError, match=r"nodes that are assigned to the default CPU EP.*allow_cpu_fallback"):
        onnx.open_session(onnxruntime, strict, [("AzureExecutionProvider", {})])


def test_which_provider_runs_how_many_operators_is_told(tmp_path: Path) -> None:
    assert onnx.load(source(tmp_path)).placement == {"CPUExecutionProvider": 3}


def test_a_jetson_without_its_accelerator_says_so(tmp_path: Path) -> None:
    runtime = onnx.load(source(tmp_path, target="jetson-orin"))

    assert (runtime.provider, runtime.preferred_provider) == ("CPUExecutionProvider", "TensorrtExecutionProvider")


def test_the_session_gets_the_options_that_the_gate_used(tmp_path: Path) -> None:
    with pytest.raises(ModelUnloadableError, match=r"model\.onnx"):
        onnx.load(source(tmp_path, session_options={"session.load_model_format": "ORT"}))


@pytest.mark.parametrize("change", [{"inputs": (INNER.model_copy(update={"name": "other"}),)}, {"outputs": (INNER,)}])
def test_a_model_with_other_tensors_than_its_manifest_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(TensorMismatchError, match=r"expected (in|out)puts .* found"):
        onnx.load(source(tmp_path, **change))


def test_a_fault_of_the_runtime_is_one_line_in_its_own_words(tmp_path: Path) -> None:
    runtime = onnx.load(source(tmp_path))

    with pytest.raises(InferenceError, match="invalid dimensions") as fault:
        runtime.infer({INNER.name: np.zeros((1, 1, 4, 5), np.float32)})

    assert "\n" not in str(fault.value)
    assert runtime.infer({INNER.name: np.zeros((1, 1, 4, 4), np.float32)})[SCORES.name].shape == (1, 3)
