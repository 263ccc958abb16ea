"""The stages of one compilation in order: import, normalise, calibrate, plan, lower, evaluate, gate, report, bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.cache.memory import Done, Memory
from compiler.costs import DeviceTime, device_times, read_costs
from compiler.errors import GateError, OptionError
from compiler.evaluate.gate import refusals
from compiler.inputs import read_inputs
from compiler.package.bundle import check_replaceable
from compiler.package.publish import Evidence, publish
from compiler.package.report import Report
from compiler.progress import Progress
from compiler.recipe import Recipe
from compiler.stages import Stages
from compiler.targets import TargetProfile, load_profile
from contracts.commands import CostTable


@dataclass(frozen=True)
class Latency:
    """Median time of an inference on this host; `is_earlier` where an earlier compilation measured it."""

    ms: float
    is_earlier: bool


@dataclass(frozen=True)
class Compiled:
    """What was written, and what is told but is no part of it: times by target and for `float`, and what became of each step."""

    report: Report
    latencies: dict[str, Latency]
    # On real devices, of earlier releases; empty without a table of costs.
    device_times: tuple[DeviceTime, ...]
    steps: Sequence[Done]


def compile_model(recipe: Recipe, memory: Memory, progress: Progress) -> Compiled:
    """Compile for every target and write the bundle; raise a CompilerError and write nothing when anything is wrong.

    Every stage up to the gate asks the memory first: what was done on the same content is not done again.
    """
    check_replaceable(recipe.output)
    profiles = _profiles(recipe)
    table = CostTable(costs=()) if recipe.costs is None else read_costs(recipe.costs)
    inputs = read_inputs(recipe, memory)
    stages = Stages(recipe, inputs, memory, progress)
    before = stages.evaluate_float()
    calibration = stages.calibrate()
    files = [stages.lower(profile, calibration) for profile in profiles]
    trials = [stages.evaluate(profile, file) for profile, file in zip(profiles, files, strict=True)]
    builds = [stages.judge(trial, before, calibration) for trial in trials]
    judgements = {build.profile.name: build.judgement for build in builds}
    if refused := refusals(judgements, recipe.max_drop, require_proof=recipe.require_proof):
        raise GateError(refused)
    times = device_times(table, recipe.name, tuple(judgements))
    evidence = Evidence(stages.examination, before.value, calibration.value, stages.raw_samples, times)
    report = publish(recipe, inputs, evidence, builds)
    latencies = {"float": before, **{trial.profile.name: trial.record for trial in trials}}
    on_host = {name: Latency(record.value.latency_ms, record.is_earlier) for name, record in latencies.items()}
    return Compiled(report, on_host, times, memory.done)


def _profiles(recipe: Recipe) -> list[TargetProfile]:
    """Return the targets' profiles; raise OptionError for a target that is asked for twice, for a bundle holds one artifact of each."""
    profiles = {wanted: load_profile(wanted) for wanted in recipe.targets}
    for wanted, profile in profiles.items():
        others = [other for other, found in profiles.items() if found.name == profile.name and other != wanted]
        if others:
            raise OptionError("--target", profile.name, "each target once, with one lowering", f"{wanted} and {others[0]}")
    return list(profiles.values())
