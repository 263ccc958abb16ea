"""Asks LiteRT what shapes a model's tensors take once its inputs have theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compiler.errors import ModelError


def resized_shapes(raw: bytes, inputs: Mapping[int, tuple[int, ...]], place: str) -> dict[int, tuple[int, ...]]:
    """Return every tensor's shape by its number in the file; raise ModelError when the inputs cannot take these."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate would take tensors out of sight
    try:
        interpreter = Interpreter(model_content=raw, num_threads=1, experimental_op_resolver_type=kernels)
        for index, shape in inputs.items():
            interpreter.resize_tensor_input(index, shape)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        interpreter.invoke()  # a shape that operators compute is known when they have
        details = interpreter.get_tensor_details()
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise ModelError(place, "graph", "operators that LiteRT works through with inputs of these shapes", str(error)) from error
    return {int(detail["index"]): tuple(int(n) for n in detail["shape"]) for detail in details}
