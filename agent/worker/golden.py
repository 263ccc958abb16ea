"""Decides whether this device computes what the compiler computed: the golden set, one sample at a time."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.runtimes.port import Array, Arrays
from agent.worker.decisions import Decisions
from agent.worker.errors import SetupError
from contracts.manifest import Artifact, Manifest, Tolerance
from contracts.tensors import TensorSpec

# The same formula on the same numbers: only the last bits of an exponential may differ.
RESULT_TOLERANCE = 1e-5
# A step is told as a float, whose product with an integer is rounded.
STEP_SLACK = 1.001


@dataclass(frozen=True)
class GoldenSet:
    """Raw samples and the outputs they must give, both [samples, ...]."""

    inputs: Arrays
    outputs: Arrays
    samples: int

    def sample(self, index: int) -> Arrays:
        """Return one raw sample, as a batch of one."""
        return {name: values[index : index + 1] for name, values in self.inputs.items()}


@dataclass(frozen=True)
class Verdict:
    """How the golden set went; `error` is the largest absolute difference, always finite."""

    passed: bool
    samples: int
    error: float
    reason: str = ""


def read_golden(folder: Path, manifest: Manifest, artifact: Artifact) -> GoldenSet:
    """Read both files; raise SetupError when they do not belong to this model."""
    inputs = _read_arrays(folder / manifest.golden_inputs, manifest.inputs)
    outputs = _read_arrays(folder / artifact.golden_outputs, artifact.outputs)
    counts = {len(values) for values in (*inputs.values(), *outputs.values())}
    if len(counts) != 1 or counts == {0}:
        raise SetupError(str(folder / artifact.golden_outputs), "as many outputs as golden inputs, at least one", str(sorted(counts)))
    return GoldenSet(inputs, outputs, counts.pop())


def check_results(folder: Path, manifest: Manifest, artifact: Artifact, golden: GoldenSet) -> str:
    """Say where this device's postprocess makes something else of the compiler's outputs than the compiler did, or nothing.

    Raise SetupError when the results cannot be read.
    """
    if manifest.postprocess is None or artifact.golden_results is None:
        return ""
    expected = _read_results(folder / artifact.golden_results)
    view = manifest.preprocess.view_for(manifest.inputs[0].shape, artifact.inputs[0])
    for index in range(golden.samples):
        outputs = {spec.name: golden.outputs[spec.name][index].reshape(spec.shape) for spec in artifact.outputs}
        for name, values in manifest.postprocess.apply(outputs, view).items():
            if name not in expected or index >= len(expected[name]) or expected[name][index].shape != values[0].shape:
                raise SetupError(
                    str(folder / artifact.golden_results), f"result {name} of {list(values[0].shape)} for each sample", "another"
                )
            if _largest_difference(expected[name][index], values) > RESULT_TOLERANCE:
                return f"golden sample {index}, result {name}: {_worst_value(expected[name][index], values)}"
    return ""


def run_golden(infer: Callable[[Arrays], Arrays], golden: GoldenSet, tolerance: Tolerance, decisions: Decisions | None = None) -> Verdict:
    """Run every sample; the first that strays gives the reason: a value beyond its tolerance, or another decision."""
    worst, reason = 0.0, ""
    for index in range(golden.samples):
        found = infer(golden.sample(index))
        expected = {name: values[index] for name, values in golden.outputs.items()}
        worst = max(worst, *(_largest_difference(values, found[name]) for name, values in expected.items()))
        stray = "" if reason else _stray(expected, found, tolerance, decisions)
        reason = reason or (stray and f"golden sample {index}, {stray}")
    return Verdict(not reason, golden.samples, worst, reason)


def _stray(expected: Arrays, found: Arrays, tolerance: Tolerance, decisions: Decisions | None) -> str:
    """Say where one sample's outputs stray, or nothing."""
    steps = tolerance.steps or {}
    for name, values in expected.items():
        step = steps.get(name)
        allowed = tolerance.absolute if step is None else step * STEP_SLACK
        if _largest_difference(values, found[name]) > allowed:
            limit = f"tolerance {tolerance.absolute:g}" if step is None else f"allowed one step of {step:g}"
            return f"output {name}: {_worst_value(values, found[name])}, {limit}"
    ranked = next(iter(expected))
    if tolerance.same_argmax and (moved := _moved_class(expected[ranked], found[ranked])):
        return f"output {ranked}: {moved}"
    if decisions is not None and (moved := decisions.moved(expected, found)):
        return f"decision: {moved}"
    return ""


def _read_results(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SetupError(str(path), "an .npz of results", str(error)) from error


def _largest_difference(expected: Array, found: Array) -> float:
    if expected.size != found.size:
        return sys.float_info.max
    largest = float(np.max(np.abs(_flat(expected) - _flat(found)), initial=0.0))
    # A NaN or an infinity is as wrong as can be, and must still travel as JSON.
    return largest if np.isfinite(largest) else sys.float_info.max


def _worst_value(expected: Array, found: Array) -> str:
    if expected.size != found.size:
        return f"expected {expected.size} values, found {found.size}"
    here, there = _flat(expected), _flat(found)
    at = int(np.argmax(np.nan_to_num(np.abs(here - there), nan=np.inf)))
    return f"value {at}: expected {here[at]:g}, found {there[at]:g}"


def _moved_class(expected: Array, found: Array) -> str:
    here, there = int(_flat(expected).argmax()), int(_flat(found).argmax())
    return "" if here == there else f"expected class {here} on top, found class {there}"


def _flat(values: Array) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return values.astype(np.float64).reshape(-1)


def _read_arrays(path: Path, specs: tuple[TensorSpec, ...]) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found: Arrays = {spec.name: arrays[spec.name] for spec in specs}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SetupError(str(path), f"an .npz with arrays {', '.join(spec.name for spec in specs)}", str(error)) from error
    for spec in specs:
        shape = found[spec.name].shape
        if not shape or not spec.accepts_shape((1, *shape[1:])):
            raise SetupError(str(path), f"{spec.name} of samples shaped {list(spec.shape[1:])}", str(list(shape)))
    return found
