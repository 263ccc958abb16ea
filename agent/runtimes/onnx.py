"""Runs a model in ONNX Runtime, on the best execution provider that is really there."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from agent.core.engines import is_built_on_device
from agent.runtimes.errors import CpuFallbackError, InferenceError, ModelUnloadableError, RuntimeMissingError, TensorMismatchError
from agent.runtimes.port import Arrays, ModelSource
from contracts.tensors import NUMPY_DTYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    import onnxruntime

TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
BEST_FIRST = (TENSORRT, CUDA, CPU)
# What it complains of comes as an exception too.
LOG_FATAL_ONLY = 4
# Its names for: say which provider runs what; fail where an operator is left to the CPU. And how it then complains.
RECORD_PLACEMENT, REFUSE_CPU = "session.record_ep_graph_assignment_info", "session.disable_cpu_ep_fallback"
CPU_REFUSED = "fallback to CPU EP"


class OnnxRuntime:
    """One session; it is given one sample at a time."""

    name = "onnx"
    # Processes share a GPU.
    is_exclusive = False

    def __init__(self, session: onnxruntime.InferenceSession, source: ModelSource, version: str, preferred: str) -> None:
        self.version = version
        self.provider = str(session.get_providers()[0])
        self.preferred_provider = preferred
        self.placement = _placement(session)
        self.inputs: tuple[TensorSpec, ...] = source.artifact.inputs
        self.outputs: tuple[TensorSpec, ...] = source.artifact.outputs
        self._session = session
        self._faults = _faults()
        self._input_dtypes = {spec.name: np.dtype(NUMPY_DTYPES[spec.datatype]) for spec in self.inputs}
        self._output_names = [spec.name for spec in self.outputs]

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one sample; raise InferenceError with the runtime's own words."""
        feed = {name: values.astype(self._input_dtypes[name], copy=False) for name, values in inputs.items()}
        try:
            outputs = self._session.run(self._output_names, feed)
        except self._faults as error:
            raise InferenceError(self.name, str(error)) from error
        return dict(zip(self._output_names, outputs, strict=True))


def load(source: ModelSource) -> OnnxRuntime:
    """Open a session; raise RuntimeMissingError, ModelUnloadableError, CpuFallbackError or TensorMismatchError."""
    # Its own telemetry is on by default, decided at import, and writes to the temporary folder; what a device says, the agent says.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissingError("onnx", "onnx", str(error)) from error
    available = onnxruntime.get_available_providers()
    session = open_session(onnxruntime, source, provider_options(available, source))
    _check_names(source, "inputs", source.artifact.inputs, (tensor.name for tensor in session.get_inputs()))
    _check_names(source, "outputs", source.artifact.outputs, (tensor.name for tensor in session.get_outputs()))
    return OnnxRuntime(session, source, str(onnxruntime.__version__), preferred_provider(source.target, available))


def open_session(onnxruntime: ModuleType, source: ModelSource, providers: list[tuple[str, dict[str, str]]]) -> onnxruntime.InferenceSession:
    """Open a session on these providers; raise CpuFallbackError or ModelUnloadableError."""
    is_strict = must_not_fall_back(source)
    if not providers:
        raise CpuFallbackError(str(source.file), TENSORRT, "an ONNX Runtime without TensorRT and CUDA")
    options = _session_options(onnxruntime, source, is_strict)
    try:
        # By itself the library would start over without the provider that failed, and only print that it did.
        return onnxruntime.InferenceSession(str(source.file), sess_options=options, providers=providers, enable_fallback=not is_strict)
    except _faults() as error:
        if CPU_REFUSED in str(error):
            raise CpuFallbackError(str(source.file), TENSORRT, str(error)) from error
        raise ModelUnloadableError(str(source.file), "ONNX Runtime", str(error)) from error


def must_not_fall_back(source: ModelSource) -> bool:
    """Say whether every operator has to run on the GPU: the release was compiled for one, and nobody allowed less."""
    return is_built_on_device(source.target) and not source.runtime.allow_cpu_fallback


def provider_options(available: Iterable[str], source: ModelSource) -> list[tuple[str, dict[str, str]]]:
    """Return the available providers, best first, with their options; the CPU's only where work may be left to it.

    On a device that builds engines, one is there before a model is loaded. Where it is not, it cannot be built, and TensorRT would only try
    again while people wait.
    """
    left_out = {CPU} if must_not_fall_back(source) else set()
    if is_built_on_device(source.target) and source.engine_dir is None:
        left_out.add(TENSORRT)
    wanted = [provider for provider in BEST_FIRST if provider not in left_out]
    chosen = [provider for provider in wanted if provider in set(available)]
    return [(provider, _tensorrt_options(source) if provider == TENSORRT else {}) for provider in chosen]


def preferred_provider(target: str, available: Iterable[str]) -> str:
    """Name what the hardware's best would be: TensorRT on every Jetson, else the best that this installation offers."""
    if is_built_on_device(target):
        return TENSORRT
    return next((provider for provider in BEST_FIRST if provider in set(available)), CPU)


def _session_options(onnxruntime: ModuleType, source: ModelSource, is_strict: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = source.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_FATAL_ONLY
    # A spinning thread pool would burn the cores that cameras and other models need.
    entries = {"session.intra_op.allow_spinning": "0", **source.artifact.session_options, RECORD_PLACEMENT: "1"}
    if is_strict:
        entries[REFUSE_CPU] = "1"
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return options


def _tensorrt_options(source: ModelSource) -> dict[str, str]:
    """Return TensorRT's options: as the artifact demands, as agent.toml allows, and from the engines that were built before, if any."""
    precision, runtime = source.artifact.precision, source.runtime
    options = {
        "trt_fp16_enable": str(precision in {"fp16", "int8-fp16"}),
        "trt_int8_enable": str(precision in {"int8", "int8-fp16"}),
        "trt_builder_optimization_level": str(runtime.engine_effort),
        "trt_max_workspace_size": str(runtime.engine_workspace_bytes),
    }
    if source.engine_dir is not None:
        cache = str(source.engine_dir)
        options |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": cache,
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": cache,
        }
    return options


def _placement(session: onnxruntime.InferenceSession) -> dict[str, int]:
    """Count the model's operators by provider; a library from before it told leaves it empty."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return {}
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[str(part.ep_name)] += len(part.get_nodes())
    return dict(counts)


def _check_names(source: ModelSource, side: str, specs: tuple[TensorSpec, ...], found: Iterable[str]) -> None:
    expected, names = {spec.name for spec in specs}, set(found)
    # All inputs must be fed; outputs that the manifest leaves out are simply not fetched.
    if not expected <= names or (side == "inputs" and expected != names):
        raise TensorMismatchError(str(source.file), f"{side} {sorted(expected)}", f"{sorted(names)}")


def _faults() -> tuple[type[Exception], ...]:
    """Return ONNX Runtime's exceptions, and what its Python part raises itself; they have no common root of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.EngineError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        ValueError,
    )
