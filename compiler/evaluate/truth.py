"""Decides what a metric is measured against, and refuses labels that it cannot use."""

from __future__ import annotations

from math import prod
from typing import NoReturn

from compiler.errors import DataError, OptionError
from compiler.evaluate.datasets import LabelCheck
from compiler.evaluate.metrics import METRICS, Metric
from compiler.evaluate.port import Array
from compiler.graph.interface import Interface
from contracts.postprocess import Boxes, Classes

LABEL_FREE = tuple(name for name, metric in METRICS.items() if metric.truth in ("values", "float"))
MIN_CLASSES = {"top1": 2, "top5": 6}


def check_metric(metric: Metric, interface: Interface, postprocess: Classes | Boxes | None) -> None:
    """Raise OptionError for a metric that this model's outputs have no meaning for."""
    shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in interface.outputs)
    if metric.truth == "boxes" and not isinstance(postprocess, Boxes):
        raise OptionError("--metric", metric.name, "a --postprocess that makes boxes, such as boxes=yolov8,size=640x640", "none")
    if metric.truth == "class" and isinstance(postprocess, Boxes):
        raise OptionError("--metric", metric.name, "map50 or a metric of values for a --postprocess that makes boxes", "one of classes")
    if metric.truth == "class" and interface.classes is None:
        found = f"outputs {shapes}; {', '.join(LABEL_FREE)} suit any model"
        raise OptionError("--metric", metric.name, "a model with one output, one score for each class", found)
    if metric.name in MIN_CLASSES and prod(interface.output.shape) < MIN_CLASSES[metric.name]:
        raise OptionError("--metric", metric.name, f"a model of at least {MIN_CLASSES[metric.name]} classes", f"output {shapes}")
    sizes = [prod(spec.shape) for spec in (*interface.inputs, *interface.outputs)]
    if metric.truth == "anomaly" and (len(sizes) != 2 or sizes[0] != sizes[1]):
        raise OptionError("--metric", metric.name, "an autoencoder, whose output is its input again", f"output {shapes}")


def label_check(metric: Metric, interface: Interface) -> LabelCheck:
    """Return what each label of the evaluation samples must pass."""
    classes = interface.classes if metric.truth == "class" else 2
    values = sum(prod(spec.shape) for spec in interface.outputs)

    def check(place: str, number: int, label: Array | None) -> None:
        if metric.truth in ("float", "any"):
            return
        if metric.truth == "values":
            expected = f"{values} real values for each sample; without y the float model's own outputs stand in"
            if label is not None and (label.size != values or label.dtype.kind not in "iuf"):
                _refuse(place, expected, number, label)
        elif metric.truth == "boxes":
            expected = "boxes for each sample, [things, 5]: x1, y1, x2, y2 in shares of the image and the class, -1 where there is none"
            if label is None or label.ndim != 2 or label.shape[1] != 5:
                _refuse(place, expected, number, label)
        else:
            assert classes is not None  # check_metric saw to it
            expected = f"class indexes 0 to {classes - 1}, one for each sample"
            if label is None or label.size != 1 or label.dtype.kind not in "iu" or not 0 <= int(label.reshape(())) < classes:
                _refuse(
                    place, f"{expected} (metrics that need none: {', '.join(LABEL_FREE)})" if label is None else expected, number, label
                )

    return check


def is_label_free(metric: Metric, *, has_labels: bool) -> bool:
    """Say whether the float model's own outputs stand in for labels."""
    return metric.truth == "float" or (metric.truth in ("values", "any") and not has_labels)


def _refuse(place: str, expected: str, number: int, label: Array | None) -> NoReturn:
    if label is None:
        raise DataError(place, "y", expected, "none")
    found = f"{label.dtype} of shape {list(label.shape)}"
    if label.ndim == 0:
        found = str(label) if label.dtype.kind in "iu" else f"{label.dtype} {label}"
    raise DataError(place, "y", expected, f"{found} for sample {number}")
