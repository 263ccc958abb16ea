"""Reads the inside of the float model, in normal form."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from compiler.evaluate.port import Array, Feed
from compiler.graph.index import GraphIndex
from compiler.quantize.observe import open_session, run


class FloatInside:
    """The normal-form graph with chosen tensors for outputs."""

    def __init__(self, index: GraphIndex, wanted: Sequence[str]) -> None:
        model = onnx.ModelProto()
        model.CopyFrom(index.model)
        del model.graph.output[:]
        model.graph.output.extend(index.values[name] for name in dict.fromkeys(wanted) if name in index.writers)
        self._session = open_session(model) if model.graph.output else None

    def read(self, feed: Feed) -> dict[str, Array]:
        """Return the chosen tensors of one sample, and the model's inputs; raise RunError."""
        return {**feed, **(dict(run(self._session, feed)) if self._session else {})}
