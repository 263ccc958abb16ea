"""Decides whether two releases come to the same answer on one input: the same class, the same detections, or much the same numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.runtimes.port import Arrays
from agent.worker.decisions import MAX_DOUBT, SAME_OVERLAP
from agent.worker.model import SUM_TOLERANCE, label_of, names_classes
from contracts.detections import Floats, overlaps
from contracts.manifest import Artifact, Manifest
from contracts.postprocess import Boxes, Classes

# Of outputs without a decision: the difference may be this share of the live output's largest value.
SAME_SHARE = 0.05
# What a classifier names when no class passes its threshold.
NOTHING = ""


@dataclass(frozen=True)
class Top:
    """The class that won; its score where scores are shares of one."""

    label: str
    score: float | None


@dataclass(frozen=True)
class Found:
    """What was detected: boxes [n, 4] with their labels and scores, and the least score that counts for sure."""

    boxes: Floats
    labels: tuple[str, ...]
    scores: Floats
    sure: float

    @property
    def score(self) -> float | None:
        """Return the best one."""
        return float(self.scores.max()) if len(self.scores) else None


@dataclass(frozen=True)
class Numbers:
    """Outputs that decide nothing by themselves."""

    values: tuple[npt.NDArray[np.float64], ...]
    score: None = None


Answer = Top | Found | Numbers


@dataclass(frozen=True)
class Reader:
    """One release's rule from outputs to an answer."""

    manifest: Manifest
    artifact: Artifact

    def read(self, raw_shape: tuple[int, ...], outputs: Arrays, count: int) -> list[Answer]:
        """Return each sample's answer; `raw_shape` is the first input's, [count, ...sample]."""
        rows = {spec.name: outputs[spec.name].reshape(count, *spec.shape[1:]) for spec in self.artifact.outputs}
        return [self._one(raw_shape, {name: values[i : i + 1] for name, values in rows.items()}) for i in range(count)]

    def _one(self, raw_shape: tuple[int, ...], outputs: Arrays) -> Answer:
        rule = self.manifest.postprocess
        if isinstance(rule, Classes):
            results = rule.apply(outputs)
            best = int(results["class"][0])
            return Top(NOTHING if best < 0 else label_of(self.manifest, best), _share(results["scores"]))
        if isinstance(rule, Boxes):
            view = self.manifest.preprocess.view_for((1, *raw_shape[1:]), self.artifact.inputs[0])
            results = rule.apply(outputs, view)
            found = results["classes"][0] >= 0
            labels = tuple(label_of(self.manifest, int(index)) for index in results["classes"][0][found])
            return Found(results["boxes"][0][found], labels, results["scores"][0][found], rule.threshold + MAX_DOUBT)
        if names_classes(self.manifest, self.artifact):
            scores = outputs[self.artifact.outputs[0].name].reshape(-1).astype(np.float64)
            return Top(label_of(self.manifest, int(scores.argmax())), _share(scores))
        return Numbers(tuple(outputs[spec.name].reshape(-1).astype(np.float64) for spec in self.artifact.outputs))


def agree(live: Answer, other: Answer) -> bool:
    """Say whether both lead to the same; answers of different kinds never do."""
    if isinstance(live, Top) and isinstance(other, Top):
        return live.label == other.label
    if isinstance(live, Found) and isinstance(other, Found):
        return _has_partners(live, other) and _has_partners(other, live)
    if isinstance(live, Numbers) and isinstance(other, Numbers):
        return len(live.values) == len(other.values) and all(map(_are_close, live.values, other.values))
    return False


def _has_partners(ours: Found, theirs: Found) -> bool:
    """Say whether each box of `ours` that does not barely pass shares enough with one of its class."""
    shared = overlaps(ours.boxes, theirs.boxes) if len(ours.labels) and len(theirs.labels) else np.zeros((len(ours.labels), 0))
    for at, (label, score) in enumerate(zip(ours.labels, ours.scores, strict=True)):
        is_same = [other == label and shared[at, place] >= SAME_OVERLAP for place, other in enumerate(theirs.labels)]
        if score >= ours.sure and not any(is_same):
            return False
    return True


def _are_close(live: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    if live.shape != other.shape:
        return False
    return bool(np.abs(live - other).max(initial=0.0) <= SAME_SHARE * np.abs(live).max(initial=0.0))


def _share(scores: npt.NDArray[np.generic]) -> float | None:
    """Return the best score; None where scores are no shares of one, which cannot be compared between models."""
    values = scores.reshape(-1).astype(np.float64)
    are_shares = values.min() >= 0 and abs(values.sum() - 1) < SUM_TOLERANCE
    return min(float(values.max()), 1.0) if are_shares else None
