"""The stages of one compilation in order: import, normalise, calibrate, lower, evaluate, gate, report, bundle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from compiler.errors import GateError
from compiler.evaluate.datasets import check_labels
from compiler.evaluate.gate import Judgement, judge, refusals
from compiler.evaluate.metrics import METRICS
from compiler.evaluate.runner import Runner, Scores
from compiler.inputs import Inputs, read_inputs
from compiler.lower import LOWERINGS, lower
from compiler.package import bundle, golden
from compiler.package.report import Report, TargetReport, metric_report, source_file, tool_versions
from compiler.quantize.ranges import observe_ranges
from compiler.recipe import Recipe
from compiler.targets import TargetProfile, load_profile
from contracts.manifest import Tolerance

Item = TypeVar("Item")
# How many samples are computed a second time, to see how far two correct executions lie apart.
SPREAD_SAMPLES = 500
# Keeps ONNX Runtime from fusing Q/DQ pairs into integer kernels: the same graph, computed in float.
IN_FLOAT = {"session.disable_quant_qdq": "1"}


class Progress(Protocol):
    """Where the pipeline says how far it is; rich.progress.Progress is one."""

    def track(self, sequence: Iterable[Item], total: float | None = None, *, description: str) -> Iterable[Item]:
        """Yield the items of `sequence`, and count them."""


@dataclass(frozen=True)
class Build:
    """One target's file, its answers on the evaluation samples [n, classes], and how far a device may lie from them."""

    profile: TargetProfile
    model: bytes
    outputs: Scores
    tolerance: float
    judgement: Judgement


def compile_model(recipe: Recipe, progress: Progress) -> Report:
    """Compile for every target and write the bundle; raise a CompilerError and write nothing when anything is wrong."""
    bundle.check_replaceable(recipe.output)
    profiles = [load_profile(name) for name in recipe.targets]
    inputs = read_inputs(recipe)
    float_outputs = evaluate(Runner(str(recipe.model), inputs.imported.SerializeToString(), {}), recipe, inputs, progress, "float")
    lowered = lower_all(recipe, inputs, profiles, progress)
    builds = [judged(recipe, inputs, float_outputs, profile, file, progress) for profile, file in lowered]
    judgements = {each.profile.name: each.judgement for each in builds}
    if refused := refusals(judgements, recipe.metric, recipe.max_drop, require_proof=recipe.require_proof):
        raise GateError(refused)
    return publish(recipe, inputs, builds)


def lower_all(recipe: Recipe, inputs: Inputs, profiles: Iterable[TargetProfile], progress: Progress) -> list[tuple[TargetProfile, bytes]]:
    """Calibrate once, then lower for each target."""
    samples = inputs.calibration.prepared(recipe.preprocess)
    ranges = observe_ranges(inputs.normal, progress.track(samples, len(inputs.calibration), description="calibrate"))
    return [(p, lower(p, inputs.normal, ranges)) for p in progress.track(profiles, len(recipe.targets), description="lower")]


def evaluate(runner: Runner, recipe: Recipe, inputs: Inputs, progress: Progress, what: str) -> Scores:
    """Return a model's answers on every evaluation sample: [n, classes]."""
    samples = inputs.evaluation.prepared(recipe.preprocess)
    return runner.run(progress.track(samples, len(inputs.evaluation), description=f"evaluate {what}"))


def judged(recipe: Recipe, inputs: Inputs, float_outputs: Scores, profile: TargetProfile, file: bytes, progress: Progress) -> Build:
    """Run the very bytes that will be shipped, with the session options that will be shipped, and compare with the float model."""
    outputs = evaluate(Runner(profile.name, file, profile.session_options), recipe, inputs, progress, profile.name)
    again = islice(inputs.evaluation.prepared(recipe.preprocess), SPREAD_SAMPLES)
    spread_samples = min(SPREAD_SAMPLES, len(inputs.evaluation))
    in_float = Runner(profile.name, file, IN_FLOAT).run(progress.track(again, spread_samples, description=f"compare {profile.name}"))
    tolerance = golden.tolerance_for(outputs, in_float, LOWERINGS[profile.lowering].steps)
    labels = check_labels(inputs.evaluation, inputs.interface.classes)
    is_right = METRICS[recipe.metric]
    judgement = judge(is_right(float_outputs, labels), is_right(outputs, labels), recipe.max_drop)
    return Build(profile, file, outputs, tolerance, judgement)


def publish(recipe: Recipe, inputs: Inputs, builds: list[Build]) -> Report:
    """Choose the golden set, and write report and bundle."""
    chosen, tolerances = golden.choose({each.profile.name: (each.outputs, each.tolerance) for each in builds})
    report = Report(
        name=recipe.name,
        release=recipe.release,
        model=source_file(recipe.model),
        calibration=source_file(recipe.calibration, len(inputs.calibration)),
        evaluation=source_file(recipe.evaluation, len(inputs.evaluation)),
        preprocess=recipe.preprocess,
        max_drop=recipe.max_drop,
        golden_samples=len(chosen),
        tools=tool_versions(),
        targets={each.profile.name: target_report(recipe.metric, each, tolerances[each.profile.name]) for each in builds},
    )
    source, result = inputs.interface.input, inputs.interface.output
    contents = bundle.Contents(
        interface=inputs.interface,
        raw_datatype=inputs.evaluation.datatype,
        labels=inputs.labels,
        models={each.profile.name: each.model for each in builds},
        golden_inputs=golden.npz_bytes({source.name: inputs.evaluation.raw[chosen]}),
        golden_outputs={
            each.profile.name: golden.npz_bytes({result.name: each.outputs[chosen].reshape(-1, *result.shape[1:])}) for each in builds
        },
    )
    bundle.write(recipe.output, report, contents)
    return report


def target_report(metric: str, build: Build, tolerance: Tolerance) -> TargetReport:
    """Write down one target's build."""
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
