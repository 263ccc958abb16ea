"""The stages of one compilation in order: import, normalise, calibrate, plan, lower, evaluate, gate, report, bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from compiler.errors import GateError
from compiler.evaluate.datasets import Sample, check_labels
from compiler.evaluate.gate import judge, refusals
from compiler.evaluate.metrics import METRICS
from compiler.evaluate.runner import Runner, Scores
from compiler.inputs import Inputs, read_inputs
from compiler.lower import LOWERINGS, lower, with_precision
from compiler.package.bundle import check_replaceable
from compiler.package.golden import tolerance_for
from compiler.package.publish import Build, publish
from compiler.package.report import Report
from compiler.quantize.calibrate import Calibration, calibrate
from compiler.recipe import Recipe
from compiler.targets import TargetProfile, load_profile

Item = TypeVar("Item")
# How many samples are computed a second time, to see how far two correct executions lie apart.
SPREAD_SAMPLES = 500
# Keeps ONNX Runtime from fusing Q/DQ pairs into integer kernels: the same graph, computed in float.
IN_FLOAT = {"session.disable_quant_qdq": "1"}


class Progress(Protocol):
    """Where the pipeline says how far it is; rich.progress.Progress is one."""

    def track(self, sequence: Iterable[Item], total: float | None = None, *, description: str) -> Iterable[Item]:
        """Yield the items of `sequence`, and count them."""


def compile_model(recipe: Recipe, progress: Progress) -> Report:
    """Compile for every target and write the bundle; raise a CompilerError and write nothing when anything is wrong."""
    check_replaceable(recipe.output)
    profiles = [with_precision(load_profile(name), recipe.precision) for name in recipe.targets]
    stages = Stages(recipe, read_inputs(recipe), progress)
    float_outputs = stages.evaluate_float()
    calibration = stages.calibrate()
    builds = [stages.judge(profile, file, float_outputs) for profile, file in stages.lower(profiles, calibration)]
    judgements = {build.profile.name: build.judgement for build in builds}
    if refused := refusals(judgements, recipe.metric, recipe.max_drop, require_proof=recipe.require_proof):
        raise GateError(refused)
    return publish(recipe, stages.inputs, calibration, builds)


@dataclass(frozen=True)
class Stages:
    """The stages that take long, and say how far they are."""

    recipe: Recipe
    inputs: Inputs
    progress: Progress

    def evaluate_float(self) -> Scores:
        """Return the answers [n, classes] of the model as imported, before anything was changed."""
        runner = Runner(str(self.recipe.model), self.inputs.imported.SerializeToString(), {})
        return self._run(runner, len(self.inputs.evaluation), "evaluate float")

    def calibrate(self) -> Calibration:
        """Run the calibration samples through the float model once, and plan for all targets."""
        samples, count = self.inputs.calibration.prepared(self.recipe.preprocess), len(self.inputs.calibration)
        tracked = self.progress.track(samples, count, description="calibrate")
        name = self.inputs.interface.input.name
        return calibrate(self.inputs.normal, ({name: sample} for sample in tracked), count, self.recipe.calibrator)

    def lower(self, profiles: list[TargetProfile], calibration: Calibration) -> list[tuple[TargetProfile, bytes]]:
        """Return each target's file; all of them follow the one plan."""
        tracked = self.progress.track(profiles, len(profiles), description="lower")
        return [(profile, lower(profile, self.inputs.normal, calibration.plan)) for profile in tracked]

    def judge(self, profile: TargetProfile, file: bytes, float_outputs: Scores) -> Build:
        """Run the very bytes that will be shipped, with the session options that will be shipped, and compare with the float model."""
        count, name = len(self.inputs.evaluation), profile.name
        outputs = self._run(Runner(name, file, profile.session_options), count, f"evaluate {name}")
        in_float = self._run(Runner(name, file, IN_FLOAT), min(SPREAD_SAMPLES, count), f"compare {name}")
        labels = check_labels(self.inputs.evaluation, self.inputs.interface.classes)
        is_right = METRICS[self.recipe.metric]
        return Build(
            profile=profile,
            model=file,
            outputs=outputs,
            tolerance=tolerance_for(outputs, in_float, LOWERINGS[profile.lowering].steps),
            judgement=judge(is_right(float_outputs, labels), is_right(outputs, labels), self.recipe.max_drop),
        )

    def _run(self, runner: Runner, count: int, description: str) -> Scores:
        """Return the answers on the first `count` evaluation samples."""
        samples: Iterator[Sample] = islice(self.inputs.evaluation.prepared(self.recipe.preprocess), count)
        return runner.run(self.progress.track(samples, count, description=description))
