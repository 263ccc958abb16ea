"""Runs samples through the float model and counts the values of its tensors as they stream by."""

from __future__ import annotations

from collections import defaultdict
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
from compiler.quantize.layers import Layer
from compiler.quantize.rounding import Moments

Feeds = Mapping[str, npt.NDArray[np.float32]]
# Of the tensors of one run this much is held in memory at a time; a model with more is run in several parts.
MAX_HELD_BYTES = 256 << 20
# What layers read is summed up in squares, which together take no more than this; layers beyond it go without.
MAX_MOMENTS_BYTES = 256 << 20


class Observer:
    """Counts the values of chosen tensors; what is kept is one histogram for each, however many samples it sees.

    Of the inputs of `layers` it also keeps the `moments`, by the name of the layer's weights.
    """

    def __init__(
        self, model: onnx.ModelProto, tensors: Sequence[str], layers: Sequence[Layer] = (), max_held_bytes: int = MAX_HELD_BYTES
    ) -> None:
        index = GraphIndex(model)
        self._counted = frozenset(tensors)
        self.moments = _affordable(layers)
        self._readers: dict[str, list[Moments]] = defaultdict(list)
        for moments in self.moments.values():
            self._readers[moments.layer.source].append(moments)
        wanted = list(dict.fromkeys((*tensors, *self._readers)))
        inputs = {value.name for value in model.graph.input}
        self._inputs = [name for name in wanted if name in inputs]
        computed = [name for name in wanted if name not in inputs]
        self._sessions = [_session(model, group) for group in _groups(index, computed, max_held_bytes)]

    @property
    def parts(self) -> int:
        """Return in how many parts the model is run."""
        return len(self._sessions)

    def see(self, feeds: Feeds, counted: dict[str, Histogram]) -> None:
        """Run one sample and add its values to `counted`; raise DataError when a tensor takes a value that is no number."""
        for name in self._inputs:
            self._look(name, feeds[name], counted)
        for session in self._sessions:
            for name, values in run(session, feeds):
                self._look(name, values, counted)

    def _look(self, name: str, values: npt.NDArray[np.float32], counted: dict[str, Histogram]) -> None:
        if name in self._counted:
            _count(name, values, counted)
        for moments in self._readers.get(name, ()):
            moments.add(values)


def _affordable(layers: Iterable[Layer]) -> dict[str, Moments]:
    """Return the moments of as many layers, in the graph's order, as the memory set aside for them holds."""
    found: dict[str, Moments] = {}
    held = 0
    for layer in layers:
        size = 8 * layer.groups * layer.length**2
        if held + size <= MAX_MOMENTS_BYTES:
            found[layer.weights] = Moments(layer)
            held += size
    return found


def _count(name: str, values: npt.NDArray[np.float32], counted: dict[str, Histogram]) -> None:
    if values.size == 0:
        return
    if not np.isfinite(values).all():
        raise DataError("calibration samples", f"tensor {name}", "finite values in the float model", "inf or nan")
    seen = Histogram.of(values)
    counted[name] = counted[name].merged(seen) if name in counted else seen


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
