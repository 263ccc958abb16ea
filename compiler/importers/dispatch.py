"""Decides which importer reads a source, by what the source is."""

from __future__ import annotations

import re
from pathlib import Path

import onnx

from compiler.errors import ModelError
from compiler.importers.shapes import Shapes
from compiler.importers.tflite.flatbuffer import IDENTIFIER

# A function of an importable module, such as training.models:build.
CALLABLE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
KERAS_SUFFIXES = {".keras", ".h5", ".hdf5"}
EXPECTED = "an .onnx, .tflite, .pt2, .keras or .h5 file, a SavedModel folder, or module:callable"


def is_callable_name(source: str) -> bool:
    """Say whether a source names a function rather than a file."""
    return CALLABLE.fullmatch(source) is not None and not Path(source).exists()


def read_model(source: str, shapes: Shapes) -> onnx.ModelProto:
    """Return a source's float graph with batch 1 and static shapes; raise ModelError. Libraries at work here may crash."""
    file = Path(source)
    suffix = file.suffix.lower()
    if is_callable_name(source):
        from compiler.importers.torch import import_callable

        return import_callable(source, shapes)
    if suffix == ".pt2":
        from compiler.importers.torch import import_exported_program

        return import_exported_program(file, shapes)
    if suffix in KERAS_SUFFIXES or (file.is_dir() and (file / "saved_model.pb").is_file()):
        from compiler.importers.keras import import_keras

        return import_keras(file, shapes)
    if file.is_dir():
        raise ModelError(source, "file", EXPECTED, "a folder without saved_model.pb")
    if suffix == ".tflite" or _begins_as_tflite(file):
        from compiler.importers.tflite import import_tflite

        return import_tflite(file, shapes)
    from compiler.importers.onnx import import_onnx

    return import_onnx(file, shapes)


def _begins_as_tflite(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(8)[4:] == IDENTIFIER
    except OSError:
        return False  # the importer says what is wrong with it
