"""Runs a model in ONNX Runtime exactly as a device does: one sample at a time, with the target's own session options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from compiler.errors import CompilerError
from compiler.evaluate.port import Array, Feed, Outputs

# They have no base class of their own.
RUNTIME_ERRORS = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
)

Scores = npt.NDArray[np.float32]


class RunError(CompilerError):
    """A runtime refuses a model."""

    def __init__(self, model: str, reason: str, runtime: str = f"onnxruntime {onnxruntime.__version__}") -> None:
        super().__init__(f"{model}: {runtime} cannot run it: {' '.join(reason.split())[:300]}")


class Runner:
    """One loaded model; `name` is what errors call it. `as_written` leaves out every optimization, so that no two nodes become one."""

    version = f"onnxruntime {onnxruntime.__version__}"

    def __init__(self, name: str, model: bytes, session_options: Mapping[str, str], *, as_written: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # sums in a fixed order: the same bytes at every compilation
        options.log_severity_level = 4  # errors arrive as exceptions
        if as_written:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        for key, value in session_options.items():
            options.add_session_config_entry(key, value)
        self._name = name
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except RUNTIME_ERRORS as error:
            raise RunError(name, str(error)) from error
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]

    def infer(self, feed: Feed) -> Outputs:
        """Return every output by name."""
        try:
            answers: list[Array] = self._session.run(self._outputs, dict(feed))
        except RUNTIME_ERRORS as error:
            raise RunError(self._name, str(error)) from error
        return dict(zip(self._outputs, answers, strict=True))

    def run(self, samples: Iterable[npt.NDArray[np.float32]]) -> Scores:
        """Return the first output for every sample of the first input, flat: [n, classes]."""
        return np.stack([self.infer({self._input: sample})[self._outputs[0]].ravel() for sample in samples])
