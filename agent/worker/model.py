"""Turns raw samples into outputs: preprocessing, the runtime, and batches sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.runtimes.errors import InferenceError, TensorMismatchError
from agent.runtimes.port import Array, Arrays, Runtime
from agent.worker.statistics import Winner
from contracts.manifest import Artifact, Manifest
from contracts.postprocess import Boxes
from contracts.tensors import TensorSpec

# What callers put before a result's name: a detector's raw outputs may be called boxes and scores as well.
RESULT = "result."
# Quantized shares of a thousand classes, each rounded, may add up to a little less or more than one.
SUM_TOLERANCE = 0.02


@dataclass(frozen=True)
class Model:
    """One release, loaded; its inputs and the artifact's correspond in order."""

    manifest: Manifest
    artifact: Artifact
    runtime: Runtime

    def __post_init__(self) -> None:
        raw, inner = self.manifest.inputs, self.artifact.inputs
        if len(raw) != len(inner) or not all(map(self._leads_to, raw, inner)):
            expected = f"inputs of shapes {[list(spec.shape) for spec in raw]}"
            raise TensorMismatchError(self.artifact.file, expected, str([list(spec.shape) for spec in inner]))

    @property
    def results(self) -> tuple[TensorSpec, ...]:
        """Return what the manifest's postprocess gives for a sample, each under its name behind `result.`."""
        if self.manifest.postprocess is None:
            return ()
        taken = {spec.name for spec in self.artifact.outputs}
        found = (spec.model_copy(update={"name": RESULT + spec.name}) for spec in self.manifest.postprocess.results(self.artifact.outputs))
        return tuple(spec for spec in found if spec.name not in taken)

    @property
    def image_inputs(self) -> frozenset[str]:
        """Return the raw inputs that preprocessing takes for images."""
        if not self.manifest.preprocess.has_images:
            return frozenset()
        pairs = zip(self.manifest.inputs, self.artifact.inputs, strict=True)
        return frozenset(raw.name for raw, inner in pairs if inner.datatype.startswith("FP"))

    @property
    def is_classifier(self) -> bool:
        """Say whether the largest value of the first output names a class."""
        return names_classes(self.manifest, self.artifact)

    def infer(self, samples: Arrays, count: int) -> Arrays:
        """Run `count` raw samples, given as [count, ...sample]; return outputs stacked along the first axis; raise InferenceError."""
        if count == 1:
            return self._infer_one(samples)
        answers = [self._infer_one({name: values[i : i + 1] for name, values in samples.items()}) for i in range(count)]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def answer(self, samples: Arrays, count: int, *, with_results: bool) -> Arrays:
        """Return what `infer` does, and on demand the results of every sample too; raise InferenceError."""
        outputs = self.infer(samples, count)
        rule = self.manifest.postprocess
        if rule is None or not with_results:
            return outputs
        raw = samples[self.manifest.inputs[0].name]
        view = self.manifest.preprocess.view_for((1, *raw.shape[1:]), self.artifact.inputs[0])
        rows = {spec.name: outputs[spec.name].reshape(count, *spec.shape[1:]) for spec in self.artifact.outputs}
        made = [rule.apply({name: values[i : i + 1] for name, values in rows.items()}, view) for i in range(count)]
        return outputs | {RESULT + name: np.concatenate([one[name] for one in made]) for name in made[0]}

    def winners(self, outputs: Arrays, count: int) -> tuple[Winner, ...]:
        """Return each sample's winning class; nothing for a model that is no classifier."""
        if not self.is_classifier:
            return ()
        scores = outputs[self.artifact.outputs[0].name].reshape(count, -1)
        tops = [(int(index), float(row[index])) for row, index in zip(scores, scores.argmax(axis=1), strict=True)]
        # Only shares that add up to one can be compared between models; a rounded one may be a little more.
        are_shares = bool(scores.min() >= 0 and np.abs(scores.sum(axis=1) - 1).max() < SUM_TOLERANCE)
        return tuple(Winner(self.label_of(index), min(top, 1.0) if are_shares else None) for index, top in tops)

    def label_of(self, index: int) -> str:
        """Name a class: by its label, or by its index where there are none."""
        return label_of(self.manifest, index)

    def _leads_to(self, raw: TensorSpec, inner: TensorSpec) -> bool:
        try:
            return inner.accepts_shape(self.manifest.preprocess.shape_for(raw.shape, inner))
        except ValueError:
            return False

    def _infer_one(self, sample: Arrays) -> Arrays:
        prepared: Arrays = {
            inner.name: self.manifest.preprocess.prepare(sample[raw.name], inner)
            for raw, inner in zip(self.manifest.inputs, self.artifact.inputs, strict=True)
        }
        outputs = self.runtime.infer(prepared)
        return {spec.name: self._shaped(spec.name, outputs[spec.name], spec.shape) for spec in self.artifact.outputs}

    def _shaped(self, name: str, values: Array, shape: tuple[int, ...]) -> Array:
        if values.shape == shape:
            return values
        try:
            return values.reshape(shape)
        except ValueError as error:
            raise InferenceError(self.runtime.name, f"output {name} of shape {list(values.shape)} instead of {list(shape)}") from error


def names_classes(manifest: Manifest, artifact: Artifact) -> bool:
    """Say whether the largest value of a release's first output names a class."""
    finds_boxes = isinstance(manifest.postprocess, Boxes)
    return not finds_boxes and (bool(manifest.labels) or artifact.tolerance.same_argmax)


def label_of(manifest: Manifest, index: int) -> str:
    """Name a class of a release: by its label, or by its index where there are none."""
    return manifest.labels[index] if index < len(manifest.labels) else str(index)
