"""Decides what of a judged compilation goes into report and bundle, and has them written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from compiler.costs import DeviceTime
from compiler.edgetpu.stage import Finished, finish
from compiler.evaluate.decisions import Choices, choices_of
from compiler.evaluate.examination import Examination, Record
from compiler.evaluate.gate import Judgement
from compiler.evaluate.port import Array
from compiler.importers.notes import notes_of
from compiler.inputs import Inputs
from compiler.inspect.timing import this_host
from compiler.lower import LOWERINGS
from compiler.package import bundle, golden
from compiler.package.golden import Closeness
from compiler.package.layers import layer_sqnr
from compiler.package.page import Speed, Timed
from compiler.package.placement import OpPlacement, placement_of
from compiler.package.report import Report, TargetReport, metric_report, model_source, sample_file, tool_versions
from compiler.quantize.calibrate import Calibration
from compiler.quantize.crowding import crowded
from compiler.quantize.document import plan_json
from compiler.recipe import Recipe
from compiler.sqnr.measure import Measured
from compiler.targets import TargetProfile
from contracts.manifest import Tolerance
from contracts.preprocess import Preprocess

# Their outputs are 8-bit integers.
JOINING_IN_ONE_SCALE = frozenset({"tflite-int8"})


@dataclass(frozen=True)
class Build:
    """One target's file, its answers on the evaluation samples, and how far a device may lie from them."""

    profile: TargetProfile
    model: bytes
    record: Record
    closeness: Closeness
    judgement: Judgement
    # What quantizing left of each layer's signal.
    layers: Measured
    # What became of the judged file where there is an accelerator to compile it for.
    finished: Finished | None = None

    @property
    def shipped(self) -> bytes:
        """Return the file that devices load."""
        return self.finished.shipped if self.finished else self.model


@dataclass(frozen=True)
class Evidence:
    """What the samples said before anything was lowered."""

    examination: Examination
    before: Record
    calibration: Calibration
    # Some evaluation samples, by number, as callers send them.
    raw_samples: Callable[[list[int]], Mapping[str, Array]]
    # Of earlier releases, on real devices.
    device_times: tuple[DeviceTime, ...] = ()


def publish(recipe: Recipe, inputs: Inputs, evidence: Evidence, builds: list[Build]) -> Report:
    """Compile for accelerators, choose the golden set, write the bundle, and return its report."""
    builds = [replace(build, finished=finish(build.model)) if build.profile.accelerator else build for build in builds]
    places, tolerances = _golden(inputs, builds)
    report = Report(
        name=recipe.name,
        release=recipe.release,
        model=model_source(recipe.model, inputs.imported.SerializeToString(deterministic=True)),
        notes=(*notes_of(inputs.imported), *_unscaled(recipe, inputs), *_crowding(inputs, evidence, builds)),
        calibration=sample_file(inputs.calibration),
        evaluation=sample_file(inputs.evaluation),
        preprocess=recipe.preprocess,
        postprocess=recipe.postprocess,
        labels=inputs.labels,
        declared=recipe.declared,
        max_drop=recipe.max_drop,
        folds=recipe.folds,
        golden_samples=len(places),
        tools=tool_versions(),
        targets={build.profile.name: _target_report(inputs, evidence, build, tolerances[build.profile.name]) for build in builds},
    )
    bundle.write(recipe.output, report, _contents(recipe, inputs, evidence, builds, places))
    return report


def _unscaled(recipe: Recipe, inputs: Inputs) -> tuple[str, ...]:
    """Return a remark where whole numbers go into a network of floats as they are: most networks were trained on scaled ones."""
    fed, raw = inputs.interface.input, inputs.evaluation.raw[0]
    if recipe.preprocess != Preprocess() or not raw.datatype.startswith(("INT", "UINT")) or not fed.datatype.startswith("FP"):
        return ()
    return (
        f"the samples are {raw.datatype} and go into {fed.name} unscaled, for there is no --preprocess; where training scaled them "
        "say so, as in --preprocess scale=0.00392157 for 0 to 255, and let --declared check what the float model reaches",
    )


def _crowding(inputs: Inputs, evidence: Evidence, builds: list[Build]) -> tuple[str, ...]:
    """Return remarks on outputs, where a target gets them as integers."""
    if not any(build.profile.lowering in JOINING_IN_ONE_SCALE for build in builds):
        return ()
    return crowded(inputs.normal, evidence.calibration.plan)


def _golden(inputs: Inputs, builds: list[Build]) -> tuple[list[int], dict[str, Tolerance]]:
    """Return the golden samples' places among the candidates, and each target's tolerance."""
    closeness = {build.profile.name: build.closeness for build in builds}
    if builds[0].record.decisions is None or max(inputs.interface.output.shape) == 1:
        return golden.spread_evenly(len(builds[0].record.candidates), closeness)
    scores = inputs.interface.output.name
    rows = {build.profile.name: np.stack([outputs[scores].ravel() for outputs in build.record.candidates]) for build in builds}
    return golden.choose(rows, closeness)


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
        models={build.profile.name: build.shipped for build in builds},
        judged={build.profile.name: build.finished.judged for build in builds if build.finished and build.finished.judged},
        plan=plan_json(evidence.calibration.plan, evidence.calibration.scores),
        golden_inputs=golden.npz_bytes(evidence.raw_samples(evidence.examination.candidates[places].tolist())),
        golden_outputs={target: golden.npz_bytes(arrays) for target, arrays in outputs.items()},
        golden_results=results,
        speed=_speed(evidence, builds),
    )


def _speed(evidence: Evidence, builds: list[Build]) -> Speed:
    host, records = this_host(), {"float": evidence.before, **{build.profile.name: build.record for build in builds}}
    timed = tuple(Timed(name, record.latency_ms, record.version) for name, record in records.items())
    return Speed(f"{host.cpu or host.machine}, {host.cores} cores", timed, evidence.device_times)


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
        bytes=len(build.shipped),
        metric=metric_report(build.judgement, is_label_free=evidence.examination.is_label_free),
        verdict=build.judgement.verdict,
        samples_for_proof=build.judgement.samples_for_proof,
        tolerance=tolerance,
        flips=choices.flips() if choices else None,
        worst_class=choices.worst_class() if choices else None,
        confusion=choices.table() if choices else None,
        layers=tuple(layer_sqnr(layer) for layer in build.layers.layers),
        layers_measured_by=build.layers.measured_by,
        layer_samples=build.layers.samples,
        placement=_placement(build),
        edge_tpu=build.finished.report if build.finished else None,
    )


def _choices(inputs: Inputs, evidence: Evidence, build: Build) -> Choices | None:
    return choices_of(evidence.before.decisions, build.record.decisions, inputs.evaluation.classes, inputs.interface.classes)


def _placement(build: Build) -> tuple[OpPlacement, ...]:
    return placement_of(build.model, build.profile.runtime)
