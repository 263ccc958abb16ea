"""Decides what of a judged compilation goes into report and bundle, and has them written."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.evaluate.gate import Judgement
from compiler.evaluate.runner import Scores
from compiler.importers.notes import notes_of
from compiler.inputs import Inputs
from compiler.lower import LOWERINGS
from compiler.package import bundle, golden
from compiler.package.report import Report, TargetReport, metric_report, model_source, source_file, tool_versions
from compiler.recipe import Recipe
from compiler.targets import TargetProfile
from contracts.manifest import Tolerance


@dataclass(frozen=True)
class Build:
    """One target's file, its answers on the evaluation samples [n, classes], and how far a device may lie from them."""

    profile: TargetProfile
    model: bytes
    outputs: Scores
    tolerance: float
    judgement: Judgement


def publish(recipe: Recipe, inputs: Inputs, builds: list[Build]) -> Report:
    """Choose the golden set, write the bundle, and return its report."""
    chosen, tolerances = golden.choose({build.profile.name: (build.outputs, build.tolerance) for build in builds})
    report = Report(
        name=recipe.name,
        release=recipe.release,
        model=model_source(recipe.model, inputs.imported.SerializeToString(deterministic=True)),
        notes=notes_of(inputs.imported),
        calibration=source_file(recipe.calibration, len(inputs.calibration)),
        evaluation=source_file(recipe.evaluation, len(inputs.evaluation)),
        preprocess=recipe.preprocess,
        max_drop=recipe.max_drop,
        golden_samples=len(chosen),
        tools=tool_versions(),
        targets={build.profile.name: _target_report(recipe.metric, build, tolerances[build.profile.name]) for build in builds},
    )
    bundle.write(recipe.output, report, _contents(inputs, builds, chosen))
    return report


def _contents(inputs: Inputs, builds: list[Build], chosen: list[int]) -> bundle.Contents:
    source, result = inputs.interface.input, inputs.interface.output
    answers = {build.profile.name: build.outputs[chosen].reshape(-1, *result.shape[1:]) for build in builds}
    return bundle.Contents(
        interface=inputs.interface,
        raw_datatype=inputs.evaluation.datatype,
        labels=inputs.labels,
        models={build.profile.name: build.model for build in builds},
        golden_inputs=golden.npz_bytes({source.name: inputs.evaluation.raw[chosen]}),
        golden_outputs={target: golden.npz_bytes({result.name: answer}) for target, answer in answers.items()},
    )


def _target_report(metric: str, build: Build, tolerance: Tolerance) -> TargetReport:
    return TargetReport(
        title=build.profile.title,
        why=build.profile.why,
        runtime=build.profile.runtime,
        precision=LOWERINGS[build.profile.lowering].precision,
        lowering=build.profile.lowering,
        session_options=build.profile.session_options,
        bytes=len(build.model),
        metric=metric_report(metric, build.judgement),
        verdict=build.judgement.verdict,
        samples_for_proof=build.judgement.samples_for_proof,
        tolerance=tolerance,
    )
