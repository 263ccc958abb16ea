"""Imports Keras models and SavedModel folders: TensorFlow's own converter makes a float .tflite of them, which has its importer."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import onnx

from compiler.errors import ModelError
from compiler.importers.shapes import Shapes, check_all_used, static_shape
from compiler.importers.tflite import import_flat

# Each step of a recurrent layer becomes operators of its own, of which a device must hold the list.
MAX_STEPS = 512
# What loading and converting raise on files that are damaged, and on layers that have no form in TensorFlow Lite.
_FAULTS = (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError, ImportError, EOFError, NotImplementedError)
# What the converter's log of many lines comes down to.
_MISSING = re.compile(r"(?:TF Select|Custom) ops: ([\w, ]+)")
_LOOP = ("TensorListReserve", "TensorListFromTensor", "TensorListStack")


def import_keras(file: Path, shapes: Shapes) -> onnx.ModelProto:
    """Return the model of a .keras or .h5 file or a SavedModel folder; raise ModelError."""
    place = str(file)
    if not file.exists():
        raise ModelError(place, "file", "a Keras model", "no such file")
    tensorflow = _tensorflow(place)
    if file.is_dir():
        return import_flat(_converted(tensorflow, place, place), place, shapes)
    model = _batch_of_one(tensorflow.keras, _loaded(tensorflow.keras, file), place, shapes)
    with tempfile.TemporaryDirectory(prefix="fieldfare-") as folder:
        _export(model, folder, place)
        return import_flat(_converted(tensorflow, folder, place), place, {})


def _loaded(keras: Any, file: Path) -> Any:
    try:
        # Only whole and safe files: a layer with code of its own would run it here.
        return keras.models.load_model(str(file), compile=False, safe_mode=True)
    except _FAULTS as error:
        expected = "a whole model of Keras's own layers, saved with model.save()"
        raise ModelError(str(file), "content", expected, f"{type(error).__name__}: {error}") from error


def _batch_of_one(keras: Any, model: Any, place: str, given: Shapes) -> Any:
    """Return the model with static inputs and its recurrent layers unrolled: TensorFlow Lite would need loops and lists for these."""
    if not getattr(model, "inputs", None):
        raise ModelError(place, "inputs", "a model that was built, so that its inputs have shapes", f"{type(model).__name__} without any")
    unused = dict(given)
    static = {tensor.name: static_shape(place, tensor.name, tensor.shape, unused) for tensor in model.inputs}
    check_all_used(unused, place, list(static))
    try:
        structure = keras.tree.map_structure(
            lambda tensor: keras.Input(batch_shape=static[tensor.name], dtype=tensor.dtype, name=tensor.name),
            # As the model is called with them: one, a list, or a dictionary.
            model.inputs[0] if isinstance(model, keras.Sequential) else model.input,
        )
        _unroll(keras, model, place)
        # The same layers on new inputs: a model around the model would still hold its own, open ones.
        return keras.models.clone_model(model, input_tensors=structure, clone_function=lambda layer: layer)
    except _FAULTS as error:
        raise ModelError(place, "layers", "layers that take a batch of 1", f"{type(error).__name__}: {error}") from error


def _unroll(keras: Any, model: Any, place: str) -> None:
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN):
            steps = layer.input.shape[1] if layer._inbound_nodes else None
            if steps is not None and steps > MAX_STEPS:
                raise ModelError(place, f"layer {layer.name}", f"a recurrent layer of at most {MAX_STEPS} steps", str(steps))
            layer.unroll = True


def _export(model: Any, folder: str, place: str) -> None:
    try:
        model.export(folder, verbose=False)
    except _FAULTS as error:
        raise ModelError(place, "layers", "layers that TensorFlow can trace", f"{type(error).__name__}: {error}") from error


def _converted(tensorflow: Any, folder: str, place: str) -> bytes:
    """Return the .tflite file of a SavedModel."""
    # The converter's own error is no public name, and has no base but Exception.
    refusal: type[Exception] = importlib.import_module("tensorflow.lite.python.convert_phase").ConverterError
    try:
        return bytes(tensorflow.lite.TFLiteConverter.from_saved_model(folder).convert())
    except (*_FAULTS, refusal) as error:
        raise ModelError(place, "content", "a model that TensorFlow Lite can express", _reason(error)) from error


def _reason(error: Exception) -> str:
    text = str(error)
    if any(loop in text for loop in _LOOP):
        return "a loop over a sequence; save the model as .keras, whose recurrent layers are unrolled here, or build these with unroll=True"
    missing = sorted({name for found in _MISSING.findall(text) for name in found.replace(",", " ").split() if name != "Details"})
    return f"operators that it has not: {', '.join(missing)}" if missing else f"{type(error).__name__}: {text}"


def _tensorflow(place: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    try:
        return importlib.import_module("tensorflow")
    except ModuleNotFoundError as error:
        raise ModelError(place, "format", "TensorFlow to read it: pip install 'fieldfare[keras]'", f"no module {error.name}") from error
