"""Writes constants that a file stores sparsely, by their places, in full."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.errors import ModelError

MAX_ELEMENTS = 1 << 28


def make_dense(model: onnx.ModelProto, place: str) -> None:
    """Replace sparse initializers by plain ones; raise ModelError for places that lie outside, or a tensor that fits no memory."""
    for sparse in model.graph.sparse_initializer:
        shape, name = tuple(sparse.dims), sparse.values.name
        size = int(np.prod(shape, dtype=np.int64))
        values, where = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        flat = where if where.ndim == 1 else np.ravel_multi_index(tuple(where.T), shape, mode="clip")
        if not 0 <= size <= MAX_ELEMENTS or (flat.size and not 0 <= flat.min() <= flat.max() < size):
            raise ModelError(place, f"constant {name}", f"at most {MAX_ELEMENTS} numbers, all within {list(shape)}", "places outside of it")
        full = np.zeros(size, values.dtype)
        full[flat] = values
        model.graph.initializer.append(numpy_helper.from_array(full.reshape(shape), name))
    del model.graph.sparse_initializer[:]
