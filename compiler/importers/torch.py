"""Imports PyTorch models through torch.onnx: exported programs, and functions that return a module."""

from __future__ import annotations

import importlib
import inspect
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from compiler.errors import ModelError
from compiler.importers.onnx import import_onnx
from compiler.importers.shapes import Shapes, check_all_used

OPSET = 18  # the oldest that torch.onnx writes by itself


def import_exported_program(file: Path, shapes: Shapes) -> onnx.ModelProto:
    """Return what torch.export.save wrote; raise ModelError."""
    if not file.is_file():
        raise ModelError(str(file), "file", "a program saved by torch.export.save", "no such file")
    torch = _torch(str(file))
    try:
        program = torch.export.load(file)
    except (RuntimeError, ValueError, KeyError, TypeError, AssertionError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(str(file), "content", "a program saved by torch.export.save", f"{type(error).__name__}: {error}") from error
    return _exported(torch, str(file), shapes, program)


def import_callable(source: str, shapes: Shapes) -> onnx.ModelProto:
    """Return the module that `module:callable` makes, traced with inputs of the given shapes; raise ModelError."""
    torch = _torch(source)
    sys.path.insert(0, str(Path.cwd()))  # the module lies where the command is given, as with python -m
    module = _called(source)
    if not isinstance(module, torch.nn.Module):
        raise ModelError(source, "result", "a torch.nn.Module", type(module).__name__)
    names = _parameters(module)
    check_all_used({name: shape for name, shape in shapes.items() if name not in names}, source, names)
    if missing := [name for name in names if name not in shapes]:
        wanted = " ".join(f"--shape {name}=1x3x224x224" for name in missing)
        raise ModelError(source, "inputs", f"a shape for each, as in {wanted}", f"none for {', '.join(missing)}")
    samples = tuple(torch.zeros(shapes[name]) for name in names)
    return _exported(torch, source, shapes, module.eval(), args=samples, input_names=names)


def _exported(torch: Any, place: str, shapes: Shapes, model: Any, **options: Any) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory(prefix="fieldfare-torch-") as folder:
        file = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(model, f=str(file), opset_version=OPSET, dynamo=True, external_data=True, verbose=False, **options)
        except torch.onnx.errors.OnnxExporterError as error:
            expected = "a module that torch.onnx can export"
            raise ModelError(place, "graph", expected, str(error.__cause__ or error)) from error
        try:
            return import_onnx(file, shapes)
        except ModelError as error:
            raise ModelError(place, error.field, error.expected, error.found) from error


def _torch(place: str) -> Any:
    try:
        torch = importlib.import_module("torch")
        importlib.import_module("onnxscript")
    except ModuleNotFoundError as error:
        raise ModelError(place, "format", "PyTorch to read it: pip install 'fieldfare[torch]'", f"no module {error.name}") from error
    return torch


def _called(source: str) -> object:
    module, _, attribute = source.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ModelError(source, "module:callable", "a function that can be imported from here", str(error)) from error
    if not callable(found):
        raise ModelError(source, "module:callable", "a function", type(found).__name__)
    made: object = found()
    return made


def _parameters(module: Any) -> list[str]:
    """Return the names of the inputs that `forward` cannot do without."""
    required: Iterable[inspect.Parameter] = inspect.signature(module.forward).parameters.values()
    return [parameter.name for parameter in required if parameter.default is parameter.empty and parameter.kind < parameter.VAR_POSITIONAL]
