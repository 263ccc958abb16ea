"""The stages of one compilation in order: import, normalise, calibrate, plan, lower, evaluate, gate, report, bundle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from compiler.errors import GateError, OptionError
from compiler.evaluate.examination import Examination, Record
from compiler.evaluate.gate import check_declared, judge, refusals
from compiler.evaluate.runner import Runner
from compiler.evaluate.runtimes import open_otherwise, open_shipped
from compiler.inputs import Inputs, read_inputs
from compiler.lower import LOWERINGS, lower
from compiler.package.bundle import check_replaceable
from compiler.package.golden import tolerance_of
from compiler.package.publish import Build, Evidence, publish
from compiler.package.report import Report
from compiler.quantize.calibrate import Calibration, calibrate
from compiler.recipe import Recipe
from compiler.targets import TargetProfile, load_profile

Item = TypeVar("Item")


class Progress(Protocol):
    """Where the pipeline says how far it is; rich.progress.Progress is one."""

    def track(self, sequence: Iterable[Item], total: float | None = None, *, description: str) -> Iterable[Item]:
        """Yield the items of `sequence`, and count them."""


@dataclass(frozen=True)
class Compiled:
    """What was written, and what is told but never written: median milliseconds of an inference on this host, by target and for `float`."""

    report: Report
    latency_ms: dict[str, float]


def compile_model(recipe: Recipe, progress: Progress) -> Compiled:
    """Compile for every target and write the bundle; raise a CompilerError and write nothing when anything is wrong."""
    check_replaceable(recipe.output)
    profiles = _profiles(recipe)
    inputs = read_inputs(recipe)
    float_model = Runner(str(recipe.model), inputs.imported.SerializeToString(), {})
    stages = Stages(recipe, inputs, Examination(inputs.evaluation, inputs.metric, recipe.postprocess, float_model), progress)
    before = stages.evaluate_float()
    calibration = stages.calibrate()
    builds = [stages.judge(profile, file, before) for profile, file in stages.lower(profiles, calibration)]
    judgements = {build.profile.name: build.judgement for build in builds}
    if refused := refusals(judgements, recipe.max_drop, require_proof=recipe.require_proof):
        raise GateError(refused)
    report = publish(recipe, inputs, Evidence(stages.examination, before, calibration), builds)
    return Compiled(report, {"float": before.latency_ms, **{build.profile.name: build.record.latency_ms for build in builds}})


def _profiles(recipe: Recipe) -> list[TargetProfile]:
    """Return the targets' profiles; raise OptionError for a target that is asked for twice, for a bundle holds one artifact of each."""
    profiles = {wanted: load_profile(wanted) for wanted in recipe.targets}
    for wanted, profile in profiles.items():
        others = [other for other, found in profiles.items() if found.name == profile.name and other != wanted]
        if others:
            raise OptionError("--target", profile.name, "each target once, with one lowering", f"{wanted} and {others[0]}")
    return list(profiles.values())


@dataclass(frozen=True)
class Stages:
    """The stages that take long, and say how far they are."""

    recipe: Recipe
    inputs: Inputs
    examination: Examination
    progress: Progress

    def evaluate_float(self) -> Record:
        """Return the answers of the model as imported, before anything was changed; raise DeclaredError when it is not as declared."""
        record = self.examination.examine(self.examination.float_model, self._track, "evaluate float")
        declared, place = self.recipe.declared, self.inputs.evaluation.source.place
        check_declared(self.inputs.metric, record.tally, len(self.inputs.evaluation), declared, place)
        return record

    def calibrate(self) -> Calibration:
        """Run the calibration samples through the float model once, and plan for all targets."""
        feeds, count = self.inputs.calibration.feeds(), len(self.inputs.calibration)
        tracked = self.progress.track(feeds, count, description="calibrate")
        return calibrate(self.inputs.normal, tracked, count, self.recipe.calibrator)

    def lower(self, profiles: list[TargetProfile], calibration: Calibration) -> list[tuple[TargetProfile, bytes]]:
        """Return each target's file; all of them follow the one plan."""
        tracked = self.progress.track(profiles, len(profiles), description="lower")
        return [(profile, lower(profile, self.inputs.normal, calibration.plan)) for profile in tracked]

    def judge(self, profile: TargetProfile, file: bytes, before: Record) -> Build:
        """Run the very bytes that will be shipped, with the session options that will be shipped, and compare with the float model."""
        interface, name = self.inputs.interface, profile.name
        record = self.examination.examine(open_shipped(profile, file, interface), self._track, f"evaluate {name}")
        other = self.examination.answers(open_otherwise(profile, file, interface), self._track, f"compare {name}")
        return Build(
            profile=profile,
            model=file,
            record=record,
            tolerance=tolerance_of(record.candidates, other, LOWERINGS[profile.lowering].steps),
            judgement=judge(self.inputs.metric, before.tally, record.tally, len(self.inputs.evaluation), self.recipe.max_drop),
        )

    def _track(self, numbers: range, description: str) -> Iterable[int]:
        return self.progress.track(numbers, len(numbers), description=description)
