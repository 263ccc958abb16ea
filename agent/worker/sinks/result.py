"""Decides what is told of one picture: its class, what was found on it, or the model's few numbers."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from agent.runtimes.port import Arrays
from agent.worker.model import RESULT, Model
from contracts.postprocess import Boxes, Classes

# Outputs of more numbers are for programs, which ask for them themselves.
MAX_NUMBERS = 1024


class Detection(BaseModel, frozen=True):
    """One thing that was found; `box` is x1, y1, x2, y2 in shares of the picture."""

    label: str
    score: float
    box: tuple[float, float, float, float]


class Result(BaseModel, frozen=True):
    """What a model says of one picture; numbers that JSON has no word for are null."""

    model_name: str
    model_version: str
    # Counts the pictures of this worker.
    frame: int
    taken_at: datetime
    latency_ms: float
    # Of a classifier: the best class, None where none is clear, and its score.
    label: str | None = None
    score: float | None = None
    # Of a detector, best first.
    detections: tuple[Detection, ...] | None = None
    # Of any other model: all numbers by output, if they are few.
    outputs: dict[str, list[float]] | None = None


def told_of(model: Model, outputs: Arrays) -> dict[str, object]:
    """Return the fields of a Result that a model's answer to one sample fills."""
    rule = model.manifest.postprocess
    if isinstance(rule, Classes):
        index = int(outputs[RESULT + "class"].flat[0])
        return {"label": None if index < 0 else model.label_of(index), "score": float(outputs[RESULT + "scores"].max())}
    if isinstance(rule, Boxes):
        columns = (outputs[RESULT + name][0].tolist() for name in ("classes", "scores", "boxes"))
        found = zip(*columns, strict=True)
        things = (Detection(label=model.label_of(index), score=score, box=box) for index, score, box in found if index >= 0)
        return {"detections": tuple(things)}
    if model.is_classifier:
        values = outputs[model.artifact.outputs[0].name].reshape(-1)
        best = int(values.argmax())
        return {"label": model.label_of(best), "score": float(values[best])}
    names = [spec.name for spec in model.artifact.outputs]
    is_short = sum(outputs[name].size for name in names) <= MAX_NUMBERS
    return {"outputs": {name: outputs[name].reshape(-1).tolist() for name in names}} if is_short else {}
