"""Reads everything a compilation starts from, and checks that the parts fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from compiler.errors import DataError
from compiler.evaluate.datasets import Samples, check_disjoint, check_labels, read_samples
from compiler.graph.interface import Interface, interface_of
from compiler.graph.normalise import normalise
from compiler.importers import import_model
from compiler.recipe import Recipe


@dataclass(frozen=True)
class Inputs:
    """The model as imported and in normal form, the two sets of samples, and the classes' names if there are any."""

    imported: onnx.ModelProto
    normal: onnx.ModelProto
    interface: Interface
    calibration: Samples
    evaluation: Samples
    labels: tuple[str, ...]


def read_inputs(recipe: Recipe) -> Inputs:
    """Read the recipe's files; raise ModelError or DataError naming file, field, expected and found."""
    imported = import_model(str(recipe.model), recipe.shapes)
    normal = normalise(imported)
    interface = interface_of(normal, recipe.model)
    calibration = read_samples(recipe.calibration, interface.input)
    evaluation = read_samples(recipe.evaluation, interface.input)
    check_labels(evaluation, interface.classes)
    check_disjoint(calibration, evaluation, recipe.preprocess)
    return Inputs(imported, normal, interface, calibration, evaluation, _read_class_names(recipe.labels, interface.classes))


def _read_class_names(file: Path | None, classes: int) -> tuple[str, ...]:
    if file is None:
        return ()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(str(file), "file", "a text file with one class name a line", str(error)) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != classes:
        raise DataError(str(file), "lines", f"{classes}, one for each class of the model", str(len(names)))
    return names
