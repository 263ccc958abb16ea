"""Runs a model in ONNX Runtime, on the best execution provider that is really there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from agent.runtimes.errors import InferenceError, ModelUnloadableError, RuntimeMissingError, TensorMismatchError
from agent.runtimes.port import Arrays, ModelSource
from contracts.tensors import NUMPY_DTYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnxruntime

TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
BEST_FIRST = (TENSORRT, CUDA, CPU)
LOG_ERRORS_ONLY = 3


class OnnxRuntime:
    """One session; it is given one sample at a time."""

    name = "onnx"

    def __init__(self, session: onnxruntime.InferenceSession, source: ModelSource, version: str, preferred: str) -> None:
        self.version = version
        self.provider = str(session.get_providers()[0])
        self.preferred_provider = preferred
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
    """Open a session; raise RuntimeMissingError, ModelUnloadableError or TensorMismatchError."""
    # Its own telemetry is on by default, decided at import, and writes to the temporary folder; what a device says, the agent says.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissingError("onnx", "onnx", str(error)) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = source.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    # A spinning thread pool would burn the cores that cameras and other models need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, value in source.artifact.session_options.items():
        options.add_session_config_entry(key, value)
    available = onnxruntime.get_available_providers()
    try:
        providers = provider_options(available, source)
        session = onnxruntime.InferenceSession(str(source.file), sess_options=options, providers=providers)
    except _faults() as error:
        raise ModelUnloadableError(str(source.file), "ONNX Runtime", str(error)) from error
    _check_names(source, "inputs", source.artifact.inputs, (tensor.name for tensor in session.get_inputs()))
    _check_names(source, "outputs", source.artifact.outputs, (tensor.name for tensor in session.get_outputs()))
    return OnnxRuntime(session, source, str(onnxruntime.__version__), preferred_provider(source.target, available))


def provider_options(available: Iterable[str], source: ModelSource) -> list[tuple[str, dict[str, str]]]:
    """Return the available providers, best first, with their options; TensorRT keeps the engines it builds beside the release."""
    chosen = [provider for provider in BEST_FIRST if provider in set(available)]
    return [(provider, _tensorrt_options(source) if provider == TENSORRT else {}) for provider in chosen]


def preferred_provider(target: str, available: Iterable[str]) -> str:
    """Name what the hardware's best would be: TensorRT on every Jetson, else the best that this installation offers."""
    if target.startswith("jetson"):
        return TENSORRT
    return next((provider for provider in BEST_FIRST if provider in set(available)), CPU)


def _tensorrt_options(source: ModelSource) -> dict[str, str]:
    cache = str(source.cache_dir)
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": cache,
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": cache,
        "trt_fp16_enable": str(source.artifact.precision in {"fp16", "int8-fp16"}),
        "trt_int8_enable": str(source.artifact.precision in {"int8", "int8-fp16"}),
    }


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
