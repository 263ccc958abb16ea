"""Reads the inside of a lowered ONNX file as ONNX Runtime computes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx

from compiler.evaluate.port import Array, Feed
from compiler.evaluate.runner import RunError, Runner
from compiler.evaluate.runtimes import IN_FLOAT
from compiler.graph.index import GraphIndex
from compiler.sqnr.port import Reading, Steps
from contracts.affine import real


class OnnxProbe:
    """The file with further outputs, under the target's own session options.

    Where a tensor is quantized its integers are the output, which leaves the integer kernel before it as it is. Should the runtime not
    load that, its pairs are computed in float: the same integers but for rounding.
    """

    def __init__(self, name: str, model: bytes, session_options: Mapping[str, str], wanted: Sequence[str]) -> None:
        graph = onnx.load_from_string(model)
        index = GraphIndex(graph)
        self._sources = {tensor: source for tensor in wanted if (source := source_of(index, tensor)) is not None}
        self._parameters = {source: _parameters(index, source) for source in self._sources.values()}
        del graph.graph.output[:]
        graph.graph.output.extend(onnx.ValueInfoProto(name=source) for source in dict.fromkeys(self._sources.values()))
        self._runner, self.version = _opened(name, graph.SerializeToString(), session_options)

    def read(self, feed: Feed) -> Iterator[tuple[str, Reading]]:
        """Run one sample and yield each tensor; raise RunError."""
        outputs = self._runner.infer(feed)
        for name, source in self._sources.items():
            stored, parameters = outputs[source], self._parameters[source]
            if parameters is None:
                yield name, Reading(stored.astype(np.float32, copy=False), None)
            else:
                scale, zero_point = parameters
                yield name, Reading(real(stored, scale, zero_point), Steps.of(stored.dtype, scale, zero_point))


def _opened(name: str, model: bytes, session_options: Mapping[str, str]) -> tuple[Runner, str]:
    try:
        runner, how = Runner(name, model, session_options), ""
    except RunError:
        runner, how = Runner(name, model, IN_FLOAT), " in float"
    return runner, f"{runner.version}{how}"


def source_of(index: GraphIndex, tensor: str) -> str | None:
    """Return the lowered graph's tensor that holds a tensor of the normal form: its integers, or itself."""
    return _integers(tensor) if is_quantized(index, tensor) else tensor if tensor in index.writers else None


def is_quantized(index: GraphIndex, tensor: str) -> bool:
    """Say whether the lowered graph has a tensor of the normal form as integers."""
    return _integers(tensor) in index.writers


def _integers(tensor: str) -> str:
    """Return the name that `lower.qdq` gives to a tensor's integers."""
    return f"{tensor}/quantized"


def _parameters(index: GraphIndex, source: str) -> tuple[float, int] | None:
    """Return scale and zero point of integers; None for floats."""
    writer = index.writers[source]
    if writer.op_type != "QuantizeLinear":
        return None
    scale, zero_point = (_constant(index, name) for name in writer.input[1:])
    return float(scale), int(zero_point)


def _constant(index: GraphIndex, name: str) -> Array:
    return index.constants[name].reshape(())
