"""Model files in; each importer ends in the same kind of ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.importers.shapes import Shapes
from compiler.isolation import run_isolated

if TYPE_CHECKING:
    import onnx

# Exporting a large PyTorch module takes minutes.
TIMEOUT_S = 900.0


def import_model(source: str, shapes: Shapes) -> onnx.ModelProto:
    """Return the float graph of a file, a SavedModel folder or `module:callable`: batch 1, static shapes.

    `shapes` settles by input name what the source leaves open. What the importer had to remark: `importers.notes.notes_of`.
    Raises ModelError naming source, place, what was expected and found.
    """
    import onnx  # a process that measures memory imports this package and no graph

    request = {"source": source, "shapes": {name: list(shape) for name, shape in shapes.items()}}
    return onnx.load_model_from_string(run_isolated("compiler.importers.dispatch:imported", request, source, TIMEOUT_S))
