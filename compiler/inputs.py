"""Reads everything a compilation starts from, and checks that the parts fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from compiler.errors import DataError
from compiler.evaluate.datasets import Samples, check_disjoint, survey
from compiler.evaluate.metrics import Metric, metric_named
from compiler.evaluate.sources import open_source
from compiler.evaluate.truth import check_metric, label_check
from compiler.graph.interface import Interface, interface_of
from compiler.graph.normalise import normalise
from compiler.importers import import_model
from compiler.recipe import Recipe


@dataclass(frozen=True)
class Inputs:
    """The model as imported and in normal form, the two sets of samples, the metric, and the classes' names if there are any."""

    imported: onnx.ModelProto
    normal: onnx.ModelProto
    interface: Interface
    calibration: Samples
    evaluation: Samples
    metric: Metric
    labels: tuple[str, ...]


def read_inputs(recipe: Recipe) -> Inputs:
    """Read the recipe's files; raise ModelError, OptionError or DataError naming file, field, expected and found."""
    imported = import_model(str(recipe.model), recipe.shapes)
    normal = normalise(imported, str(recipe.model))
    interface = interface_of(normal, recipe.model)
    metric = metric_named(recipe.metric)
    check_metric(metric, interface, recipe.postprocess)
    names = _read_class_names(recipe.labels, interface.classes)
    source = open_source("--evaluation", recipe.evaluation, interface, recipe.preprocess, names)
    evaluation = survey(source, interface, recipe.preprocess, label_check(metric, interface))
    calibration = evaluation
    if recipe.folds is None:
        source = open_source("--calibration", recipe.calibration, interface, recipe.preprocess, names)
        calibration = survey(source, interface, recipe.preprocess)
        check_disjoint(calibration, evaluation)
    return Inputs(imported, normal, interface, calibration, evaluation, metric, names)


def _read_class_names(file: Path | None, classes: int | None) -> tuple[str, ...]:
    """Read one name a line; a detector's classes are not known from its outputs' shapes, and are not counted."""
    if file is None:
        return ()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(str(file), "file", "a text file with one class name a line", str(error)) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if classes is not None and len(names) != classes:
        raise DataError(str(file), "lines", f"{classes}, one for each class of the model", str(len(names)))
    return names
