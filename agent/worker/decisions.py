"""Decides whether this device's outputs lead to the same decisions as the compiler's: the same class, the same detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.detections import overlaps
from contracts.manifest import Artifact, Manifest
from contracts.postprocess import Boxes, Classes
from contracts.tensors import TensorSpec
from contracts.view import View

Results = Mapping[str, npt.NDArray[Any]]
# Two boxes that share so much of what both cover are the same detection.
SAME_OVERLAP = 0.5
# What decides nothing may not grow beyond this, though an output may hold pixels beside scores and its tolerance be a pixel.
MAX_DOUBT = 0.1


@dataclass(frozen=True)
class Decisions:
    """A release's rule from outputs to what callers act on, and how far from a threshold a score has to be to decide anything.

    `doubt` is what the tolerance may move a score by: a decision which allowed differences can turn is not held against a device.
    """

    rule: Classes | Boxes
    view: View
    specs: tuple[TensorSpec, ...]
    doubt: float

    def moved(self, expected: Results, found: Results) -> str:
        """Say which decision on one sample's outputs is another than the compiler's; empty when none is."""
        ours, theirs = self._apply(expected), self._apply(found)
        if isinstance(self.rule, Classes):
            return self._moved_class(self.rule, ours, theirs)
        return self._lost(self.rule, ours, theirs, "expected {}, found none like it") or self._lost(
            self.rule, theirs, ours, "expected nothing like it, found {}"
        )

    def _apply(self, outputs: Results) -> Results:
        return self.rule.apply({spec.name: outputs[spec.name].reshape(spec.shape) for spec in self.specs}, self.view)

    def _moved_class(self, rule: Classes, expected: Results, found: Results) -> str:
        here, there = int(expected["class"][0]), int(found["class"][0])
        scores = np.sort(expected["scores"].reshape(-1).astype(np.float64))
        is_at_threshold = rule.threshold is not None and abs(scores[-1] - rule.threshold) <= self.doubt
        is_tie = len(scores) > 1 and scores[-1] - scores[-2] <= 2 * self.doubt
        return "" if here == there or is_at_threshold or is_tie else f"expected class {here}, found class {there}"

    def _lost(self, rule: Boxes, ours: Results, theirs: Results, text: str) -> str:
        """Name the first clear box of `ours` that has no partner among `theirs`."""
        scores, classes = ours["scores"][0], ours["classes"][0]
        # A full list ends at a rank, not at the threshold.
        least = max(rule.threshold, float(scores[-1])) + self.doubt
        for at in np.flatnonzero((classes >= 0) & (scores >= least)):
            is_same = theirs["classes"][0] == classes[at]
            shared = overlaps(ours["boxes"][0][at : at + 1], theirs["boxes"][0][is_same])
            if not np.any(shared >= min(SAME_OVERLAP, rule.overlap)):
                where = ", ".join(f"{edge:.3f}" for edge in ours["boxes"][0][at])
                return text.format(f"class {classes[at]} with score {scores[at]:.3f} at {where}")
        return ""


def decisions_of(manifest: Manifest, artifact: Artifact) -> Decisions | None:
    """Return what a release decides, None where it has no postprocess."""
    if manifest.postprocess is None:
        return None
    steps = artifact.tolerance.steps or {}
    doubt = min(2 * max(steps.get(spec.name, artifact.tolerance.absolute) for spec in artifact.outputs), MAX_DOUBT)
    view = manifest.preprocess.view_for(manifest.inputs[0].shape, artifact.inputs[0])
    return Decisions(manifest.postprocess, view, artifact.outputs, doubt)
