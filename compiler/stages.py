"""The stages of one compilation that take long: each says how far it is, and is remembered by the content of all that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from compiler.cache.forms import (
    arrays_step,
    calibration_step,
    closeness_step,
    described,
    estimate_step,
    file_step,
    layers_step,
    record_step,
)
from compiler.cache.memory import Memory, Recalled
from compiler.evaluate.bootstrap import Estimate, paired
from compiler.evaluate.examination import Examination, Record
from compiler.evaluate.gate import Resample, check_declared, judge
from compiler.evaluate.litert import LiteRunner
from compiler.evaluate.metrics import METRICS, Metric
from compiler.evaluate.port import Array, Engine
from compiler.evaluate.runner import Runner
from compiler.evaluate.runtimes import open_otherwise, open_shipped
from compiler.evaluate.tallies import Tally
from compiler.folds import OutOfFold, plan_folds
from compiler.inputs import Inputs
from compiler.lower import LOWERINGS, lower
from compiler.package.golden import Closeness, closeness_of
from compiler.package.publish import Build
from compiler.progress import Progress
from compiler.quantize.calibrate import Calibration, calibrate
from compiler.recipe import Recipe
from compiler.sqnr.measure import Measured, measure, sample_count
from compiler.sqnr.subject import Subject
from compiler.targets import TargetProfile
from contracts.codec import Json


@dataclass(frozen=True)
class Trial:
    """What one target's file answered."""

    profile: TargetProfile
    file: Recalled[bytes]
    record: Recalled[Record]


@dataclass(frozen=True)
class Stages:
    """What all of them are given."""

    recipe: Recipe
    inputs: Inputs
    memory: Memory
    progress: Progress

    @cached_property
    def examination(self) -> Examination:
        """Return the samples and the metric that every model is put before."""
        return Examination(self.inputs.evaluation, self.inputs.metric, self.recipe.postprocess, self._open_float)

    def evaluate_float(self) -> Recalled[Record]:
        """Return the answers of the model as imported, before anything was changed; raise DeclaredError when it is not as declared."""

        def make() -> Record:
            return self.examination.examine(self.examination.float_model, self._track, "evaluate float")

        parts = self._judged({"model": self.inputs.digests.imported})
        record = self.memory.recall(record_step(self.inputs.metric), parts, make, "float")
        declared, place, resample = self.recipe.declared, self.inputs.evaluation.source.place, self._resample(record, record, "float")
        check_declared(self.inputs.metric, record.value.tally, len(self.inputs.evaluation), declared, place, resample=resample)
        return record

    def calibrate(self) -> Recalled[Calibration]:
        """Run the calibration samples through the float model once, and plan for all targets."""
        samples, calibrator, digests = self.inputs.calibration, self.recipe.calibrator, self.inputs.digests

        def make() -> Calibration:
            tracked = self.progress.track(samples.feeds(), len(samples), description="calibrate")
            return calibrate(self.inputs.normal, tracked, len(samples), calibrator)

        parts = {"model": digests.normal, "samples": digests.calibration, "calibrator": calibrator}
        return self.memory.recall(calibration_step(), parts, make)

    def lower(self, profile: TargetProfile, calibration: Recalled[Calibration]) -> Recalled[bytes]:
        """Return a target's file; all of them follow the one plan."""

        def make() -> bytes:
            return lower(profile, self.inputs.normal, calibration.value.plan)

        parts = {"model": self.inputs.digests.normal, "plan": calibration.sha256, "lowering": profile.lowering}
        return self.memory.recall(file_step("lowering"), parts, make, profile.name)

    def evaluate(self, profile: TargetProfile, file: Recalled[bytes]) -> Trial:
        """Run the very bytes that will be shipped, with the session options that will be shipped; where data are few, each fold's own."""

        def make() -> Record:
            shipped, name = open_shipped(profile, file.value, self.inputs.interface), profile.name
            if self._folds is None:
                return self.examination.examine(shipped, self._track, f"evaluate {name}")
            files = (lower(profile, self.inputs.normal, plan) for plan in self._folds.plans)
            engines = [open_shipped(profile, one, self.inputs.interface) for one in files]
            return self._folds.examine(self.examination, engines, shipped, self._track, name)

        parts = self._judged({**self._opened(profile, file), **self._decided_folds(profile)})
        record = self.memory.recall(record_step(self.inputs.metric), parts, make, profile.name)
        return Trial(profile, file, record)

    def judge(self, trial: Trial, before: Recalled[Record], calibration: Recalled[Calibration]) -> Build:
        """Compare what the shipped bytes answered with the float model, and with the same bytes in other kernels; layer by layer too."""
        record, samples, max_drop = trial.record.value, len(self.inputs.evaluation), self.recipe.max_drop
        resample = self._resample(before, trial.record, trial.profile.name)
        return Build(
            profile=trial.profile,
            model=trial.file.value,
            record=record,
            closeness=self._closeness(trial),
            judgement=judge(self.inputs.metric, before.value.tally, record.tally, samples, max_drop, resample=resample),
            layers=self._layers(trial, calibration),
        )

    def raw_samples(self, numbers: list[int]) -> Mapping[str, Array]:
        """Return some evaluation samples as callers send them, by input name."""
        samples = self.inputs.evaluation
        parts: dict[str, Json] = {"source": samples.source.content, "numbers": numbers, "raw": described(samples.raw)}
        known = None if samples.source.content is None else parts
        return self.memory.recall(arrays_step("golden samples"), known, lambda: samples.raw_at(numbers)).value

    def _decided_folds(self, profile: TargetProfile) -> dict[str, Json]:
        """Return what decides the folds' own files."""
        if self.recipe.folds is None:
            return {}
        digests, calibrator = self.inputs.digests, self.recipe.calibrator
        return {"folds": self.recipe.folds, "calibrator": calibrator, "normal": digests.normal, "lowering": profile.lowering}

    @cached_property
    def _folds(self) -> OutOfFold | None:
        if self.recipe.folds is None:
            return None
        return plan_folds(self.inputs.normal, self.inputs.calibration, self.recipe.folds, self.recipe.calibrator, self._track)

    def _layers(self, trial: Trial, calibration: Recalled[Calibration]) -> Measured:
        """Measure each layer of the shipped bytes on a few of the evaluation samples."""
        profile, file, normal = trial.profile, trial.file, self.inputs.normal

        def make() -> Measured:
            subject = Subject(profile, file.value, normal, calibration.value.plan, self.inputs.interface)
            return measure(subject, self.examination.spread(sample_count(normal)))

        digests = self.inputs.digests
        parts = {**self._opened(profile, file), "lowering": profile.lowering, "plan": calibration.sha256, "normal": digests.normal}
        return self.memory.recall(layers_step(), {**parts, "samples": digests.evaluation}, make, profile.name).value

    def _closeness(self, trial: Trial) -> Closeness:
        profile, file = trial.profile, trial.file

        def make() -> Closeness:
            engine = open_otherwise(profile, file.value, self.inputs.interface)
            others = self.examination.answers(engine, self._track, f"compare {profile.name}")
            steps = engine.output_steps if isinstance(engine, LiteRunner) else {}
            return closeness_of(trial.record.value.candidates, others, LOWERINGS[profile.lowering].steps, steps)

        parts = {**self._opened(profile, file), "samples": self.inputs.digests.evaluation, "lowering": profile.lowering}
        return self.memory.recall(closeness_step(), parts, make, profile.name).value

    def _resample(self, before: Recalled[Record], after: Recalled[Record], subject: str) -> Resample:
        """Return the bootstrap of two records: a changed budget is judged by the same resamplings."""

        def resample(metric: Metric, first: Tally, second: Tally, samples: int) -> Estimate:
            parts = {"before": before.sha256, "after": after.sha256, "metric": metric.name} if metric.name in METRICS else None
            return self.memory.recall(estimate_step(), parts, lambda: paired(metric, first, second, samples), subject).value

        return resample

    def _judged(self, model: Mapping[str, Json]) -> dict[str, Json] | None:
        """Return what decides a model's record; nothing does where the metric is the user's own code."""
        if self.inputs.metric.name not in METRICS:
            return None
        postprocess, digests = self.recipe.postprocess, self.inputs.digests
        return {
            **model,
            "samples": digests.evaluation,
            "metric": self.inputs.metric.name,
            # Boxes are placed on the photo as it came.
            "preprocess": self.recipe.preprocess.model_dump(mode="json"),
            "postprocess": None if postprocess is None else postprocess.model_dump(mode="json"),
            # Its outputs stand in for labels where there are none.
            "float model": digests.imported if self.examination.is_label_free else None,
        }

    def _opened(self, profile: TargetProfile, file: Recalled[bytes]) -> dict[str, Json]:
        """Return what decides how a file computes on its target."""
        tensors = {"inputs": described(self.inputs.interface.inputs), "outputs": described(self.inputs.interface.outputs)}
        return {"model": file.sha256, "runtime": profile.runtime, "session_options": profile.session_options, **tensors}

    def _open_float(self) -> Engine:
        return Runner(str(self.recipe.model), self.inputs.imported.SerializeToString(), {})

    def _track(self, numbers: range, description: str) -> Iterable[int]:
        return self.progress.track(numbers, len(numbers), description=description)
