"""Chooses the golden samples, and decides how far a device's answers to them may lie from the compiler's."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.evaluate.port import Outputs
from contracts.manifest import Tolerance

GOLDEN_SAMPLES = 16
# Other CPUs round elsewhere: the same integers a few steps apart.
STEPS_APART = 4
SPREAD_FACTOR = 2
# The oldest time that a zip file can hold, so that the same arrays give the same bytes.
NO_DATE = (1980, 1, 1, 0, 0, 0)


def tolerance_for(outputs: npt.NDArray[np.float32], other: npt.NDArray[np.float32], steps: int) -> float:
    """Return the largest allowed absolute difference of an output.

    `outputs` and `other` [n, classes] are the answers of two correct executions of the same file: with integer kernels, and with the
    same graph computed in float. A device may differ by twice as much as they do, and in any case by 4 of the `steps` into which
    the model's numbers divide the outputs' range.
    """
    spread = float(np.abs(outputs[: len(other)] - other).max())
    step = float(outputs.max() - outputs.min()) / steps
    return max(STEPS_APART * step, SPREAD_FACTOR * spread)


@dataclass(frozen=True)
class Closeness:
    """How far apart two correct executions of a target's file are on the candidates for the golden set."""

    # The tolerance that suits all outputs: the largest of theirs.
    absolute: float
    # Of an integer engine, by output: the distance of two neighbouring values.
    steps: Mapping[str, float]
    # For each candidate: whether no value of these outputs is more than one step apart.
    is_steady: npt.NDArray[np.bool_]


def closeness_of(answers: Sequence[Outputs], others: Sequence[Outputs], steps: int, step_of: Mapping[str, float]) -> Closeness:
    """Compare two executions; `steps` as in `tolerance_for`, `step_of` of the outputs that are integers in the file."""
    absolute = max(tolerance_for(_stacked(answers, name), _stacked(others, name), steps) for name in answers[0])
    is_steady = np.ones(len(others), bool)
    for name, step in step_of.items():
        apart = np.abs(_stacked(answers, name)[: len(others)] - _stacked(others, name)).max(axis=1)
        is_steady &= apart < 1.5 * step
    return Closeness(absolute, step_of, is_steady)


def _stacked(answers: Sequence[Outputs], name: str) -> npt.NDArray[np.float32]:
    return np.stack([answer[name].astype(np.float32).ravel() for answer in answers])


def margins(outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return for each row of [n, classes] how far its largest value is ahead of the next."""
    two = np.partition(outputs, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0], dtype=np.float32)


def spread_evenly(count: int, targets: Mapping[str, Closeness]) -> tuple[list[int], dict[str, Tolerance]]:
    """Return the golden samples' places among `count` candidates of a model that chooses no class, and each target's tolerance."""
    among = _steady(np.arange(count), targets)
    places = np.arange(count) if among is None else among
    chosen = {int(places[place]) for place in np.linspace(0, len(places) - 1, min(len(places), GOLDEN_SAMPLES)).round().astype(int)}
    return sorted(chosen), _tolerances(targets, same_argmax=False, is_steady=among is not None)


def choose(answers: Mapping[str, npt.NDArray[np.float32]], targets: Mapping[str, Closeness]) -> tuple[list[int], dict[str, Tolerance]]:
    """Return the indexes of the golden samples and each target's tolerance, from its outputs [candidates, classes] and their closeness.

    A sample is clear when on every target its first class is ahead of the second by more than twice the tolerance: then no
    allowed difference can change the answer, and a changed answer is a real fault. Only clear samples are taken if there are any.
    """
    clear = np.all([margins(outputs) > 2 * targets[name].absolute for name, outputs in answers.items()], axis=0)
    first = next(iter(answers.values()))
    has_clear = bool(clear.any())
    candidates = np.flatnonzero(clear) if has_clear else np.arange(len(first))
    among = _steady(candidates, targets)
    candidates = candidates if among is None else among
    chosen = _in_turns(candidates, first.argmax(axis=1)[candidates])
    return chosen, _tolerances(targets, same_argmax=has_clear, is_steady=among is not None)


def _steady(candidates: npt.NDArray[np.int64], targets: Mapping[str, Closeness]) -> npt.NDArray[np.int64] | None:
    """Return those on which two correct executions agree within a step on every target; None where that would leave too few."""
    is_steady = np.all([closeness.is_steady[candidates] for closeness in targets.values()], axis=0)
    return candidates[is_steady] if np.count_nonzero(is_steady) >= min(GOLDEN_SAMPLES, len(candidates)) else None


def _tolerances(targets: Mapping[str, Closeness], *, same_argmax: bool, is_steady: bool) -> dict[str, Tolerance]:
    return {
        name: Tolerance(
            absolute=closeness.absolute,
            same_argmax=same_argmax,
            steps=dict(closeness.steps) if is_steady and closeness.steps else None,
        )
        for name, closeness in targets.items()
    }


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return an .npz file; the same arrays give the same bytes, and an array may have any name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            raw = io.BytesIO()
            np.lib.format.write_array(raw, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", NO_DATE), raw.getvalue())
    return buffer.getvalue()


def _in_turns(candidates: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> list[int]:
    """Take candidates class by class, so that as many classes as possible are there."""
    met: Counter[int] = Counter()
    turn_of: dict[int, int] = {}
    for index, label in zip(candidates.tolist(), classes.tolist(), strict=True):
        turn_of[index] = met[label]
        met[label] += 1
    ordered = sorted(turn_of, key=lambda index: (turn_of[index], index))
    return sorted(ordered[:GOLDEN_SAMPLES])
