"""Takes LiteRT's greeting out of the terminal: it tells stderr of the first delegate that a process makes, and has no option against it.

It is told of a tiny model, so that nothing that a user's model makes it say, or end with, is ever kept from stderr.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import ModuleType

STDERR = 2


@cache
def take_greeting(library: ModuleType) -> None:
    """Let an interpreter module make its first delegate unheard; once in a process, a few milliseconds."""
    model = _smallest_model()
    with _unheard(), suppress(RuntimeError, ValueError):  # what fails here fails for the user's model too, and is told then
        library.Interpreter(model_content=model, num_threads=1).allocate_tensors()


@contextmanager
def _unheard() -> Iterator[None]:
    """Send what native code writes to stderr nowhere, and leave a closed stderr as it is."""
    try:
        kept = os.dup(STDERR)
    except OSError:
        yield
        return
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # no path: the system's name for nowhere
        os.dup2(nowhere.fileno(), STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)


def _smallest_model() -> bytes:
    """Return a file with one operator, RELU on one number, which XNNPACK takes."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str) -> schema.TensorT:
        one = schema.TensorT()
        one.name, one.shape, one.type, one.buffer = name, [1], schema.TensorType.FLOAT32, 0
        return one

    code, relu, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    relu.inputs, relu.outputs = [0], [1]
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor("in"), tensor("out")], [0], [1], [relu]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
