"""Reads everything a compilation starts from, and checks that the parts fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from compiler.cache.forms import described, graph_step, survey_step
from compiler.cache.memory import Memory, Recalled
from compiler.errors import DataError, ModelError
from compiler.evaluate.datasets import Samples, check_disjoint, survey
from compiler.evaluate.metrics import Metric, metric_named
from compiler.evaluate.sources import open_source
from compiler.evaluate.truth import check_metric, label_check
from compiler.graph.interface import Interface, interface_of
from compiler.graph.normalise import normalise
from compiler.importers import import_model
from compiler.importers.content import content_of
from compiler.recipe import Recipe
from contracts.codec import Json


@dataclass(frozen=True)
class Digests:
    """What the parts are known by: the sha256 of each one's content."""

    imported: str
    normal: str
    calibration: str
    evaluation: str


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
    digests: Digests


def read_inputs(recipe: Recipe, memory: Memory) -> Inputs:
    """Read the recipe's files; raise ModelError, OptionError or DataError naming file, field, expected and found."""
    imported, normal = _read_model(recipe, memory)
    interface = interface_of(normal.value, recipe.model)
    metric = metric_named(recipe.metric)
    check_metric(metric, interface, recipe.postprocess)
    names = _read_class_names(recipe.labels, interface.classes)
    evaluation = _look_through(recipe, memory, interface, names, judged_by=metric)
    calibration = evaluation
    if recipe.folds is None:
        calibration = _look_through(recipe, memory, interface, names, judged_by=None)
        check_disjoint(calibration.value, evaluation.value)
    digests = Digests(imported.sha256, normal.sha256, calibration.sha256, evaluation.sha256)
    return Inputs(imported.value, normal.value, interface, calibration.value, evaluation.value, metric, names, digests)


def _read_model(recipe: Recipe, memory: Memory) -> tuple[Recalled[onnx.ModelProto], Recalled[onnx.ModelProto]]:
    place = str(recipe.model)
    content = content_of(place, recipe.shapes)

    def read() -> onnx.ModelProto:
        model = import_model(place, recipe.shapes)
        if content_of(place, recipe.shapes) != content:
            raise ModelError(place, "file", "the same until it was read", "another")
        return model

    imported = memory.recall(graph_step("import"), content, read)
    return imported, memory.recall(graph_step("normal form"), {"model": imported.sha256}, lambda: normalise(imported.value, place))


def _look_through(
    recipe: Recipe, memory: Memory, interface: Interface, class_names: tuple[str, ...], judged_by: Metric | None
) -> Recalled[Samples]:
    """Survey the samples that calibrate, or those that judge by a metric, which need labels it can use."""
    option, place = ("--evaluation", recipe.evaluation) if judged_by else ("--calibration", recipe.calibration)
    source = open_source(option, place, interface, recipe.preprocess, class_names)
    check = label_check(judged_by, interface) if judged_by else None
    parts: dict[str, Json] = {
        "source": source.content,
        "inputs": described(interface.inputs),
        "preprocess": recipe.preprocess.model_dump(mode="json"),
        # What a label must be follows from the kind of truth and from what the model gives.
        "labels": {"truth": judged_by.truth, "outputs": described(interface.outputs)} if judged_by else None,
    }

    def look_through() -> Samples:
        samples = survey(source, interface, recipe.preprocess, check)
        if open_source(option, place, interface, recipe.preprocess, class_names).content != source.content:
            raise DataError(place, "samples", "the same ones until all were read", "others")
        return samples

    step = survey_step(source, interface, recipe.preprocess)
    known = None if source.content is None else parts
    return memory.recall(step, known, look_through, subject=option.removeprefix("--"))


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
