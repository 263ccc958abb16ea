"""Decides which importer reads a source, by what the source is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx

from compiler.errors import ModelError
from compiler.importers.files import is_tflite
from compiler.importers.shapes import Shapes, shapes_of

# A function of an importable module, such as training.models:build.
CALLABLE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
# What torch.save and torch.jit.save write: weights without their network, or a program that torch.onnx cannot export.
TORCH_SUFFIXES = {".pt", ".pth", ".ckpt", ".safetensors"}
KERAS_SUFFIXES = {".keras", ".h5", ".hdf5"}
SAVED_MODEL = "saved_model.pb"
EXPECTED = "an .onnx, .tflite, .pt2, .keras or .h5 file, a SavedModel folder, or module:callable"


def is_callable_name(source: str) -> bool:
    """Say whether a source names a function rather than a file."""
    return CALLABLE.fullmatch(source) is not None and not Path(source).exists()


def may_be_onnx(source: str) -> bool:
    """Say whether a source that no other importer claims is left to that of ONNX files."""
    file = Path(source)
    is_claimed = file.suffix.lower() in {*KERAS_SUFFIXES, *TORCH_SUFFIXES, ".pt2"}
    return not (is_callable_name(source) or file.is_dir() or is_claimed or is_tflite(file))


def imported(request: dict[str, Any]) -> bytes:
    """Return the serialized graph; the task that import_model has done in a process of its own."""
    return bytes(read_model(str(request["source"]), shapes_of(request)).SerializeToString())


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
    if suffix in KERAS_SUFFIXES or (file.is_dir() and (file / SAVED_MODEL).is_file()):
        from compiler.importers.keras import import_keras

        return import_keras(file, shapes)
    if file.is_dir():
        raise ModelError(source, "file", EXPECTED, f"a folder without {SAVED_MODEL}")
    if suffix in TORCH_SUFFIXES:
        expected = f"{EXPECTED}; of PyTorch what torch.export.save wrote, or module:callable, a function that returns the network"
        raise ModelError(source, "format", expected, f"a {suffix} file")
    if is_tflite(file):
        from compiler.importers.tflite import import_tflite

        return import_tflite(file, shapes)
    from compiler.importers.onnx import import_onnx

    return import_onnx(file, shapes)
