"""Names all that an import reads by its content, so that the same model need not be imported twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are a package of their own

from compiler.importers.dispatch import SAVED_MODEL, is_callable_name
from compiler.importers.onnx import MAX_MODEL_BYTES
from compiler.importers.shapes import Shapes
from contracts.codec import Json, sha256_of_stream

# The key under which ONNX names a file that holds a tensor's values (onnx.proto, TensorProto.external_data).
LOCATION = "location"


def content_of(source: str, shapes: Shapes) -> dict[str, Json] | None:
    """Return the digests of a model's files and what else decides its import; None for a function, which only a call can tell.

    None as well for what is no model or cannot be read: the importer says what is wrong with it.
    """
    place = Path(source)
    if is_callable_name(source) or not ((place / SAVED_MODEL).is_file() or place.is_file()):
        return None
    try:
        files = {name: _digest(file) for name, file in _files(place)}
    except OSError:
        return None
    return {"suffix": place.suffix.lower(), "files": files, "shapes": {name: list(shape) for name, shape in shapes.items()}}


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    """Yield a model's files and what the model calls each; its own name does not matter."""
    if place.is_dir():
        yield from ((file.relative_to(place).as_posix(), file) for file in sorted(place.rglob("*")) if file.is_file())
        return
    yield "", place
    if place.stat().st_size <= MAX_MODEL_BYTES:
        yield from ((location, place.parent / location) for location in _locations(place.read_bytes()))


def _locations(raw: bytes) -> list[str]:
    """Return the files beside an ONNX file that hold its weights."""
    if LOCATION.encode() not in raw:
        return []
    try:
        model = onnx.load_model_from_string(raw)
    except DecodeError:
        return []
    tensors = [*_tensors(model.graph), *(tensor for function in model.functions for tensor in _tensors_of(function.node))]
    return sorted({entry.value for tensor in tensors for entry in tensor.external_data if entry.key == LOCATION})


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from (tensor for sparse in graph.sparse_initializer for tensor in (sparse.values, sparse.indices))
    yield from _tensors_of(graph.node)


def _tensors_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors(graph)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return sha256_of_stream(stream)
