"""Decides what of a judged compilation goes into report and bundle, and has them written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.evaluate.decisions import Choices, choices_of
from compiler.evaluate.examination import Examination, Record
from compiler.evaluate.gate import Judgement
from compiler.importers.notes import notes_of
from compiler.inputs import Inputs
from compiler.lower import LOWERINGS
from compiler.package import bundle, golden
from compiler.package.placement import OpPlacement, placement_of
from compiler.package.report import LayerSqnr, Report, TargetReport, metric_report, model_source, sample_file, tool_versions
from compiler.quantize.calibrate import Calibration
from compiler.quantize.document import plan_json
from compiler.recipe import Recipe
from compiler.targets import TargetProfile
from contracts.manifest import Tolerance


@dataclass(frozen=True)
class Build:
    """One target's file, its answers on the evaluation samples, and how far a device may lie from them."""

    profile: TargetProfile
    model: bytes
    record: Record
    tolerance: float
    judgement: Judgement
    # What quantizing left of each layer's signal, where it was measured.
    layers: tuple[LayerSqnr, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What the samples said before anything was lowered."""

    examination: Examination
    before: Record
    calibration: Calibration


def publish(recipe: Recipe, inputs: Inputs, evidence: Evidence, builds: list[Build]) -> Report:
    """Choose the golden set, write the bundle, and return its report."""
    places, tolerances = _golden(inputs, builds)
    report = Report(
        name=recipe.name,
        release=recipe.release,
        model=model_source(recipe.model, inputs.imported.SerializeToString(deterministic=True)),
        notes=notes_of(inputs.imported),
        calibration=sample_file(inputs.calibration),
        evaluation=sample_file(inputs.evaluation),
        preprocess=recipe.preprocess,
        postprocess=recipe.postprocess,
        labels=inputs.labels,
        declared=recipe.declared,
        max_drop=recipe.max_drop,
        golden_samples=len(places),
        tools=tool_versions(),
        targets={build.profile.name: _target_report(inputs, evidence, build, tolerances[build.profile.name]) for build in builds},
    )
    bundle.write(recipe.output, report, _contents(recipe, inputs, evidence, builds, places))
    return report


def _golden(inputs: Inputs, builds: list[Build]) -> tuple[list[int], dict[str, Tolerance]]:
    """Return the golden samples' places among the candidates, and each target's tolerance."""
    if builds[0].record.decisions is None or max(inputs.interface.output.shape) == 1:
        tolerances = {build.profile.name: Tolerance(absolute=build.tolerance, same_argmax=False) for build in builds}
        return golden.spread_evenly(len(builds[0].record.candidates)), tolerances
    scores = inputs.interface.output.name
    rows = {build.profile.name: [outputs[scores].ravel() for outputs in build.record.candidates] for build in builds}
    return golden.choose({build.profile.name: (np.stack(rows[build.profile.name]), build.tolerance) for build in builds})


def _contents(recipe: Recipe, inputs: Inputs, evidence: Evidence, builds: list[Build], places: list[int]) -> bundle.Contents:
    answers = {build.profile.name: [build.record.candidates[place] for place in places] for build in builds}
    outputs = {
        target: {spec.name: np.stack([one[spec.name].reshape(spec.shape[1:]) for one in several]) for spec in inputs.interface.outputs}
        for target, several in answers.items()
    }
    view = recipe.preprocess.view_for(inputs.evaluation.raw[0].shape, inputs.interface.input)
    results: dict[str, bytes] = {}
    for target, several in answers.items():
        if recipe.postprocess:
            made = [recipe.postprocess.apply(one, view) for one in several]
            results[target] = golden.npz_bytes({name: np.concatenate([one[name] for one in made]) for name in made[0]})
    return bundle.Contents(
        interface=inputs.interface,
        raw=inputs.evaluation.raw,
        models={build.profile.name: build.model for build in builds},
        plan=plan_json(evidence.calibration.plan, evidence.calibration.scores),
        golden_inputs=golden.npz_bytes(inputs.evaluation.raw_at(evidence.examination.candidates[places].tolist())),
        golden_outputs={target: golden.npz_bytes(arrays) for target, arrays in outputs.items()},
        golden_results=results,
    )


def _target_report(inputs: Inputs, evidence: Evidence, build: Build, tolerance: Tolerance) -> TargetReport:
    choices = _choices(inputs, evidence, build)
    return TargetReport(
        title=build.profile.title,
        why=build.profile.why,
        runtime=build.profile.runtime,
        judged_by=build.record.version,
        precision=LOWERINGS[build.profile.lowering].precision,
        lowering=build.profile.lowering,
        session_options=build.profile.session_options,
        bytes=len(build.model),
        metric=metric_report(build.judgement, is_label_free=evidence.examination.is_label_free),
        verdict=build.judgement.verdict,
        samples_for_proof=build.judgement.samples_for_proof,
        tolerance=tolerance,
        flips=choices.flips() if choices else None,
        worst_class=choices.worst_class() if choices else None,
        confusion=choices.table() if choices else None,
        layers=build.layers,
        placement=_placement(build),
    )


def _choices(inputs: Inputs, evidence: Evidence, build: Build) -> Choices | None:
    return choices_of(evidence.before.decisions, build.record.decisions, inputs.evaluation.classes, inputs.interface.classes)


def _placement(build: Build) -> tuple[OpPlacement, ...]:
    return placement_of(build.model, build.profile.runtime)
