"""Runs samples through the float model and counts the values of its tensors as they stream by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from compiler.errors import DataError
from compiler.evaluate.runner import RUNTIME_ERRORS, RunError
from compiler.graph.index import GraphIndex
from compiler.quantize.histogram import Histogram

Feeds = Mapping[str, npt.NDArray[np.float32]]
# Of the tensors of one run this much is held in memory at a time; a model with more is run in several parts.
MAX_HELD_BYTES = 256 << 20


class Observer:
    """Counts the values of chosen tensors; its state is one histogram for each, however many samples it sees."""

    def __init__(self, model: onnx.ModelProto, tensors: Sequence[str], max_held_bytes: int = MAX_HELD_BYTES) -> None:
        index = GraphIndex(model)
        inputs = {value.name for value in model.graph.input}
        self.histograms: dict[str, Histogram] = {}
        self._inputs = [name for name in tensors if name in inputs]
        computed = [name for name in tensors if name not in inputs]
        self._sessions = [_session(model, group) for group in _groups(index, computed, max_held_bytes)]

    @property
    def parts(self) -> int:
        """Return in how many parts the model is run."""
        return len(self._sessions)

    def see(self, feeds: Feeds) -> None:
        """Run one sample; raise DataError when a tensor takes a value that is no number."""
        for name in self._inputs:
            self._count(name, feeds[name])
        for session in self._sessions:
            for name, values in run(session, feeds):
                self._count(name, values)

    def _count(self, name: str, values: npt.NDArray[np.float32]) -> None:
        if values.size == 0:
            return
        if not np.isfinite(values).all():
            raise DataError("calibration samples", f"tensor {name}", "finite values in the float model", "inf or nan")
        seen = Histogram.of(values)
        self.histograms[name] = self.histograms[name].merged(seen) if name in self.histograms else seen


def run(session: onnxruntime.InferenceSession, feeds: Feeds) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the session's outputs by name."""
    names = [output.name for output in session.get_outputs()]
    try:
        yield from zip(names, session.run(None, dict(feeds)), strict=True)
    except RUNTIME_ERRORS as error:
        raise RunError("calibration", str(error)) from error


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Load a model so that its nodes are computed as they are written: on one thread, and Q/DQ pairs in float on every host."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise RunError("calibration", str(error)) from error


def _session(model: onnx.ModelProto, tensors: Iterable[str]) -> onnxruntime.InferenceSession:
    augmented = onnx.ModelProto()
    augmented.CopyFrom(model)
    values = GraphIndex(model).values
    del augmented.graph.output[:]
    augmented.graph.output.extend(values[name] for name in tensors)
    return open_session(augmented)


def _groups(index: GraphIndex, tensors: Sequence[str], max_held_bytes: int) -> Iterator[list[str]]:
    group: list[str] = []
    held = 0
    for name in tensors:
        size = 4 * prod(index.shape(name) or ())
        if group and held + size > max_held_bytes:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group
