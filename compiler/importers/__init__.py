"""Model files in; each importer ends in the same kind of ONNX graph, made in a process of its own."""

from __future__ import annotations

from compiler.importers.isolation import import_model

__all__ = ["import_model"]
