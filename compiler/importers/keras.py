"""Imports Keras models and SavedModel folders: TensorFlow's own converter makes a float .tflite of them, which has its importer."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import onnx

from compiler.errors import ModelError
from compiler.importers.shapes import Shapes
from compiler.importers.tflite import import_flat

# What loading and converting raise on files that are damaged, and on layers that have no form in TensorFlow Lite.
_FAULTS = (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError, ImportError)


def import_keras(file: Path, shapes: Shapes) -> onnx.ModelProto:
    """Return the model of a .keras or .h5 file or a SavedModel folder; raise ModelError."""
    place = str(file)
    if not file.exists():
        raise ModelError(place, "file", "a Keras model", "no such file")
    tensorflow = _tensorflow(place)
    try:
        raw = _converter(tensorflow, file).convert()
    except _FAULTS as error:
        expected = "a model that TensorFlow loads and converts"
        raise ModelError(place, "content", expected, f"{type(error).__name__}: {error}") from error
    return import_flat(raw, place, shapes)


def _converter(tensorflow: Any, file: Path) -> Any:
    if file.is_dir():
        return tensorflow.lite.TFLiteConverter.from_saved_model(str(file))
    # Only whole and safe files: a layer with code of its own would run it here.
    model = tensorflow.keras.models.load_model(file, compile=False, safe_mode=True)
    return tensorflow.lite.TFLiteConverter.from_keras_model(model)


def _tensorflow(place: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    try:
        return importlib.import_module("tensorflow")
    except ModuleNotFoundError as error:
        raise ModelError(place, "format", "TensorFlow to read it: pip install 'fieldfare[keras]'", f"no module {error.name}") from error
